//! Thousands of hostile proofs of identity, on every plane: each is refused in one way, and the
//! daemon stays as it is.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_client::v1;
use lanyard_client::v1::audit_service_client::AuditServiceClient;
use lanyard_client::v1::credential_service_client::CredentialServiceClient;
use lanyard_client::v1::kill_service_client::KillServiceClient;
use lanyard_client::v1::task_service_client::TaskServiceClient;
use lanyard_tests::Stage;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

/// How many calls are made, by gRPC and by HTTP.
const CALLS: u32 = 4000;
const REQUESTS: u32 = 600;
/// Over how many connections, and from how many addresses, the calls are made: whom nobody knows is
/// served two requests of a connection a second.
const CONNECTIONS: u8 = 240;
const ADDRESSES: u8 = 16;
/// After so many calls the daemon's memory is taken for what it needs.
const WARM: u32 = 1000;
/// By how much it may have grown at the end, in KiB.
const GROWTH: u64 = 16 * 1024;

const KILL: &str = r#"{"scope":"all","reason":"drill"}"#;
const SCHEMES: [&str; 9] = [
    "Bearer ", "Bearer ", "Bearer ", "DPoP ", "bearer ", "Basic ", "Bearer", "Bearer  ", "",
];
const HEADERS: [&str; 14] = [
    r#"{"alg":"none"}"#,
    r#"{"alg":"none","kid":"dev-agents","typ":"JWT"}"#,
    r#"{"alg":"HS256","kid":"dev-agents","typ":"JWT"}"#,
    r#"{"alg":"EdDSA","kid":"../../dev","typ":"JWT"}"#,
    r#"{"alg":"EdDSA","kid":"' OR 1=1 --","typ":"JWT"}"#,
    r#"{"alg":"EdDSA","kid":"dev","typ":"JWT","crit":["b64"],"b64":false}"#,
    r#"{"alg":"EdDSA","kid":"dev","kid":"dev","typ":"JWT"}"#,
    r#"{"alg":"EdDSA","kid":"dev","jku":"https://evil.example/jwks"}"#,
    r#"{"alg":"EdDSA","kid":"dev","jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"}}"#,
    r#"{"alg":"EdDSA","kid":"dev","typ":"lanyard-kill-ticket+jwt"}"#,
    r#"{"alg":"EdDSA","kid":"dev","typ":"lanyard-session+jwt"}"#,
    r#"{"alg":"ES256","typ":"dpop+jwt","jwk":{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}}"#,
    r#"{"alg":"EdDSA","kid":"dev","typ":"secevent+jwt"}"#,
    "{\"alg\":\"EdDSA\",\"kid\":\"\u{202e}\u{0}\"}",
];
const CLAIMS: [&str; 6] = [
    "{}",
    r#"{"iss":"https://dev.lanyard.invalid/agents","sub":"dev-agent","aud":"lanyard-dev","iat":0,"exp":99999999999,"jti":"1"}"#,
    r#"{"iss":"x","sub":"x","aud":["lanyard-dev","y"],"iat":-1,"exp":1e400,"jti":1}"#,
    r#"{"iss":"x","sub":"x","aud":"x","iat":18446744073709551615,"exp":18446744073709551615,"nbf":18446744073709551615,"jti":"1"}"#,
    r#"{"cnf":{"jkt":"x"},"htm":"POST","htu":"x","ath":"x","jti":"x","iat":1}"#,
    r#"{"aud":"lanyard-dev","iat":1,"exp":2,"jti":"x","scope":{"kind":"all"}}"#,
];
const AWS: [&str; 3] = [
    r#"{"url":"https://sts.eu-west-1.amazonaws.com/","headers":{"host":"evil.example"},"body":"Action=GetCallerIdentity&Version=2011-06-15"}"#,
    r#"{"url":"https://evil.example/","headers":{},"body":""}"#,
    "{}",
];

/// Makes hostile values up, the same ones in every run.
struct Hostile {
    state: u64,
    honest: String,
}

impl Hostile {
    /// Returns the next number of the `SplitMix64` generator.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let place = self.below(of.len());
        of.get(place).copied().unwrap()
    }

    /// Bytes that may stand in a header.
    fn noise(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most);
        let byte = |random: u64| match random % 224 {
            low @ 0..95 => u8::try_from(low + 32).unwrap(),
            high => u8::try_from(high + 32).unwrap(),
        };
        let mut bytes: Vec<u8> = (0..length).map(|_| byte(self.next())).collect();
        bytes.retain(|byte| *byte != 0x7f);
        bytes
    }

    /// The honest token with one character changed.
    fn damaged(&mut self) -> String {
        let mut token = self.honest.clone().into_bytes();
        let place = self.below(token.len());
        let other = if token.get(place) == Some(&b'A') {
            b'B'
        } else {
            b'A'
        };
        *token.get_mut(place).unwrap() = other;
        String::from_utf8(token).unwrap()
    }

    fn token(&mut self) -> Vec<u8> {
        let b64 = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let text = match self.below(12) {
            0 => return self.noise(300),
            1 => return self.noise(7000),
            2 | 3 => self.damaged(),
            4 => {
                let place = self.below(self.honest.len());
                self.honest.split_at(place).0.to_owned()
            }
            5 => format!("{0}.{0}", self.honest),
            6 | 7 => {
                let (header, claims) = (self.one(&HEADERS), self.one(&CLAIMS));
                format!("{}.{}.{}", b64(header), b64(claims), b64(claims))
            }
            8 => {
                let header = b64(self.one(&HEADERS));
                let (_, rest) = self.honest.split_once('.').unwrap();
                format!("{header}.{rest}")
            }
            9 => format!("{}.{}.", b64(self.one(&HEADERS)), b64(self.one(&CLAIMS))),
            10 => format!("lanyard-aws.{}", b64(self.one(&AWS))),
            _ => {
                let depth = self.below(3000);
                let deep = b64(&"[".repeat(depth));
                format!(
                    "{}.{deep}.{}",
                    b64(self.one(&HEADERS)),
                    ".".repeat(depth % 7)
                )
            }
        };
        text.into_bytes()
    }

    fn authorization(&mut self) -> Vec<u8> {
        let scheme = self.one(&SCHEMES);
        [scheme.as_bytes(), &self.token()].concat()
    }

    /// A request whose metadata is hostile.
    fn request<T>(&mut self, message: T) -> Request<T> {
        let value = |bytes: &[u8]| MetadataValue::<Ascii>::try_from(bytes).unwrap();
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        for _ in 0..1 + self.below(8) / 7 {
            metadata.append("authorization", value(&self.authorization()));
        }
        for _ in 0..self.below(4) / 2 {
            metadata.append("dpop", value(&self.token()));
        }
        request.set_timeout(Duration::from_secs(10));
        request
    }

    /// One call, and how it was refused.
    async fn call(&mut self, channel: Channel) -> Result<(), Status> {
        match self.below(5) {
            0 => {
                let request = self.request(v1::OpenTaskRequest::default());
                TaskServiceClient::new(channel).open_task(request).await?;
            }
            1 => {
                let request = self.request(v1::ListLeasesRequest::default());
                CredentialServiceClient::new(channel)
                    .list_leases(request)
                    .await?;
            }
            2 => {
                let request = self.request(v1::EngageKillRequest::default());
                KillServiceClient::new(channel).engage_kill(request).await?;
            }
            3 => {
                let request = self.request(v1::ProposeRearmRequest::default());
                KillServiceClient::new(channel)
                    .propose_rearm(request)
                    .await?;
            }
            _ => {
                let request = self.request(v1::WhoAmIRequest::default());
                AuditServiceClient::new(channel).who_am_i(request).await?;
            }
        }
        Ok(())
    }
}

fn hostile(stage: &Stage) -> Result<Hostile> {
    Ok(Hostile {
        state: 0x001a_0a4d,
        honest: stage.agent.ok(&["identity"])?,
    })
}

/// Resident memory of the daemon, in KiB.
fn memory(stage: &Stage) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.daemon.process()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no VmRSS")?.parse()?)
}

// T1, T3, T4, T5, T43
#[test]
fn t05_hostile_metadata_is_refused_in_one_way_and_costs_nothing_that_stays() -> Result<()> {
    let stage = Stage::set()?;
    let mut hostile = hostile(&stage)?;
    let address = format!("https://{}", stage.daemon.address());
    let authority = std::fs::read(stage.directory.path().join("dev-ca.pem"))?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
    let runtime = tokio::runtime::Runtime::new()?;
    let mut warm = 0;
    runtime.block_on(async {
        let mut channels = Vec::new();
        for number in 0..CONNECTIONS {
            let from = Ipv4Addr::new(127, 0, 1, number % ADDRESSES);
            let endpoint = Endpoint::from_shared(address.clone())?;
            let endpoint = endpoint.tls_config(tls.clone())?;
            let channel = endpoint.local_address(Some(from.into())).connect().await?;
            channels.push(channel);
        }
        for (number, channel) in (0..CALLS).zip(channels.iter().cycle()) {
            if number == WARM {
                warm = memory(&stage)?;
            }
            let refused = hostile.call(channel.clone()).await.err();
            // What is wrong with the message would be said to somebody who is known.
            let code = refused.as_ref().map(Status::code);
            ensure!(
                code == Some(Code::Unauthenticated),
                "call {number}: {refused:?}"
            );
        }
        anyhow::Ok(())
    })?;
    let grown = memory(&stage)?.saturating_sub(warm);
    ensure!(grown <= GROWTH, "its memory has grown by {grown} KiB");
    println!("{CALLS} calls; from call {WARM} on its memory has grown by {grown} KiB");
    // The honest token was changed in every way, and never used.
    stage.task()?;
    Ok(())
}

// T5, T43: by HTTP any byte can be sent, also those that end a line.
#[test]
fn t05_hostile_headers_of_http_are_refused_by_every_door() -> Result<()> {
    let stage = Stage::set()?;
    let mut hostile = hostile(&stage)?;
    for number in 0..REQUESTS {
        let mut header = hostile.authorization();
        if number % 3 == 0 {
            let place = hostile.below(header.len() + 1);
            let control = ["\0", "\r", "\n", "\u{1b}", "\u{7f}", "\t"];
            let byte = hostile.one(&control).bytes();
            header.splice(place..place, byte);
        }
        let header = String::from_utf8_lossy(&header).into_owned();
        let headers = [("authorization", header.as_str())];
        let answer = match hostile.below(3) {
            0 => stage.daemon.http("POST", "/v1/actions", &headers, "{}")?,
            1 => stage.daemon.kill_plane(&headers, KILL)?,
            _ => {
                let form = ("content-type", "application/x-www-form-urlencoded");
                let headers = [headers.as_slice(), &[form]].concat();
                stage
                    .daemon
                    .http("POST", "/oauth2/introspect", &headers, "token=x")?
            }
        };
        ensure!(
            answer.starts_with("HTTP/1.1 4"),
            "request {number}: {answer}"
        );
    }
    stage.task()?;
    Ok(())
}
