//! Compiles the proto files without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    let files = [
        "action",
        "approval",
        "audit",
        "charter",
        "credential",
        "decision",
        "identity",
        "kill",
        "pause",
        "plan",
        "signing_key",
        "task",
    ]
    .map(|name| format!("{root}/lanyard/v1/{name}.proto"));
    let files = files
        .into_iter()
        .chain([format!("{root}/lanyard/agent/v1/agent.proto")]);
    let files: Vec<_> = files.collect();
    println!("cargo::rerun-if-changed={root}");
    let descriptors = protox::compile(&files, [root])?;
    tonic_prost_build::configure()
        // Whoever prints these prints a secret: their Debug is written by hand.
        .skip_debug([
            "lanyard.v1.TokenCredential",
            "lanyard.v1.AwsCredential",
            "lanyard.v1.KubernetesCredential",
            "lanyard.v1.VaultCredential",
            "lanyard.v1.VaultSecretCredential",
            "lanyard.v1.GitHubCredential",
            "lanyard.v1.OtherCredential",
            "lanyard.v1.InviteAgentResponse",
            "lanyard.v1.BeginEnrolmentRequest",
            "lanyard.v1.CompleteEnrolmentRequest",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
