//! A minimal HTTP/1.1 server: one request per connection, bodies with a content length.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Longest line of a head in bytes, and the number of header lines.
const LINE: u64 = 16 * 1024;
const LINES: usize = 100;
/// Largest body that is read, in bytes.
const READ: u64 = 4 * 1024 * 1024;

/// A request after parsing.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path segments after percent-decoding.
    pub(crate) path: Vec<String>,
    pub(crate) target: String,
    /// Headers by lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A response to write.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json; charset=utf-8".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    pub(crate) const fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Makes an error in the form of the page «Troubleshooting the REST API».
    pub(crate) fn message(status: u16, message: &str) -> Self {
        let body = serde_json::json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": status.to_string(),
        });
        Self::json(status, &body)
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// Reads one request from the connection.
pub(crate) fn read(stream: &TcpStream) -> Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.by_ref().take(LINE).read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next(), words.next());
    let (method, target) = method.zip(target).context("not a request")?;
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = BTreeMap::new();
    for _ in 0..LINES {
        let mut line = String::new();
        reader.by_ref().take(LINE).read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: u64 = match headers.get("content-length") {
        Some(length) => length.parse()?,
        None => 0,
    };
    if length > READ {
        bail!("the body has {length} bytes, the limit is {READ}");
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    let path = target.split('?').next().unwrap_or_default();
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    Ok(Request {
        path: segments.map(decoded).collect(),
        method,
        target,
        headers,
        body,
    })
}

pub(crate) fn write(mut stream: &TcpStream, response: &Response) -> Result<()> {
    let mut head = format!("HTTP/1.1 {} Answer\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if response.status != 204 {
        head.push_str(&format!("content-length: {}\r\n", response.body.len()));
    }
    // GitHub sends this header with every answer; the page «Troubleshooting the REST API» asks for
    // it.
    head.push_str("x-github-request-id: 0A1B:2C3D:4E5F\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&response.body)?;
    Ok(())
}

/// Sends a request as an agent would, and returns status and JSON body.
pub(crate) fn call(
    address: SocketAddr,
    (method, path): (&str, &str),
    token: &str,
    body: Option<&Value>,
) -> Result<(u16, Value)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nuser-agent: an-agent\r\n\
         accept: application/vnd.github+json\r\nx-github-api-version: 2022-11-28\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer is incomplete")?;
    let status = head.split(' ').nth(1).context("no status")?;
    Ok((
        status.parse()?,
        serde_json::from_str(body).unwrap_or_default(),
    ))
}

fn decoded(segment: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), segment.bytes());
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex: Vec<u8> = [rest.next(), rest.next()].into_iter().flatten().collect();
            let hex = String::from_utf8(hex).unwrap_or_default();
            bytes.extend(u8::from_str_radix(&hex, 16));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
