//! Container isolation, and the settings that remove it: the baseline of the Pod Security
//! Standards, in the terms of Kubernetes, Terraform's providers, ECS and Docker.
//!
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use std::sync::LazyLock;

use regex::Regex;

use crate::names::plain_name;
use crate::tree::Tree;

/// Fields that break isolation whenever they are set.
const FLAGS: &[&str] = &[
    "allowprivilegeescalation",
    "capadd",
    "flexvolume",
    "hostipc",
    "hostnetwork",
    "hostpath",
    "hostpid",
    "hostport",
    "hostprocess",
    "privileged",
];

/// Fields that share a namespace with the node if their value is `host`.
const MODES: &[&str] = &[
    "cgroupnsmode",
    "cgroupparent",
    "ipcmode",
    "networkmode",
    "pidmode",
    "usernsmode",
    "utsmode",
];

/// Fields that hold a security profile, which may be `Unconfined`.
const PROFILES: &[&str] = &["apparmorprofile", "seccompprofile", "windowsoptions"];

/// Prefixes of the annotations that held profiles before there were fields.
const PROFILE_ANNOTATIONS: &[&str] = &[
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
];

/// Capabilities that a container may add without leaving the baseline.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Kernel parameters that are local to a container.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];

/// SELinux types for containers.
const SELINUX_TYPES: &[&str] = &[
    "container_engine_t",
    "container_init_t",
    "container_kvm_t",
    "container_t",
];

/// True if an attribute breaks isolation, by its name, its value and the attribute above it.
pub(crate) fn is_broken_by(above: Option<&str>, key: &str, is: &Tree) -> bool {
    if !is.says_something() {
        return false;
    }
    let (name, above) = (plain_name(key), above.map(plain_name).unwrap_or_default());
    let (name, above) = (name.as_str(), above.as_str());
    let value = is.scalar();
    let is_called = |word: &str| value.is_some_and(|value| value.eq_ignore_ascii_case(word));
    // A value that is only known after the apply could be any.
    let is_unknown = is.has_unknown() && value.is_none();
    match name {
        "hostport" => value != Some("0"),
        "privileged" | "allowprivilegeescalation" => !is_called("false"),
        _ if FLAGS.contains(&name) => true,
        "add" if above == "capabilities" => has_other(is, &|item| {
            let item = item.to_ascii_uppercase();
            CAPABILITIES.contains(&item.strip_prefix("CAP_").unwrap_or(&item))
        }),
        "procmount" => !is_called("Default"),
        "sysctl" | "sysctls" => has_other(is, &|item| SYSCTLS.contains(&item)),
        "securityopt" | "securityopts" | "dockersecurityoptions" => {
            has_other(is, &|item| !takes_away(item))
        }
        "type" if PROFILES.contains(&above) => is_unknown || is_called("Unconfined"),
        "type" if above == "selinuxoptions" => {
            !value.is_some_and(|value| SELINUX_TYPES.contains(&value))
        }
        "user" | "role" if above == "selinuxoptions" => true,
        _ if MODES.contains(&name) => is_unknown || is_called("host"),
        _ => {
            PROFILE_ANNOTATIONS
                .iter()
                .any(|begin| key.starts_with(begin))
                && (is_unknown || is_called("unconfined"))
        }
    }
}

/// True for a Docker option that disables a profile.
fn takes_away(option: &str) -> bool {
    let lower = option.to_ascii_lowercase();
    [
        "unconfined",
        "disable",
        "no-new-privileges:false",
        "no-new-privileges=false",
    ]
    .iter()
    .any(|word| lower.contains(word))
}

/// True if an entry is not known to be harmless: a text, a map with a name, or a key of a map.
fn has_other(value: &Tree, is_harmless: &impl Fn(&str) -> bool) -> bool {
    match value {
        Tree::Null => false,
        Tree::Plain(text) | Tree::Text(text) => !is_harmless(&text.raw),
        Tree::List(items) => items.iter().any(|item| has_other(item, is_harmless)),
        Tree::Map(map) => match map.get("name") {
            Some(name) => has_other(name, is_harmless),
            None => map.keys().any(|key| !is_harmless(key)),
        },
        Tree::Document { root, .. } => has_other(root, is_harmless),
        Tree::Unknown | Tree::Hidden(_) => true,
    }
}

/// True if a text that is no document, such as a template, mentions a setting that breaks
/// isolation.
pub(crate) fn is_broken_in(text: &str) -> bool {
    static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let key = r#"\\*["']?\s*[:=]\s*\\*["']?"#;
        Regex::new(&format!(
            r#"(?i)(?-u:\b)(?:privileged|allow_?privilege_?escalation|host_?(?:ipc|network|pid|process)){key}(?:true|yes|on|\{{)|(?-u:\b)host_?path\\*["']?\s*[:=]|(?-u:\b)proc_?mount{key}unmasked|(?-u:\b)type{key}unconfined|(?-u:\b)(?:cap_)?(?:sys_admin|sys_ptrace|sys_module|net_admin)(?-u:\b)|(?-u:\b)(?:pid|ipc|network)_?mode{key}host(?-u:\b)"#
        ))
        .ok()
    });
    // The expression is a constant. If it did not compile, every text would match, which is the
    // safe side.
    WORDS.as_ref().is_none_or(|words| words.is_match(text))
}
