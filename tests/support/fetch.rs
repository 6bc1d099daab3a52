//! Downloads with a pinned SHA-256. Certificates come from the system's bundle where there is one, so that a machine
//! behind an inspecting proxy works like curl does there, and from the roots compiled in otherwise.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// A file on the network that may only be this file.
#[derive(Clone, Copy, Debug)]
pub struct Pinned {
    /// Where it is.
    pub url: &'static str,
    /// What it is: SHA-256 in lower-case hex.
    pub sha256: &'static str,
}

const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

const ATTEMPTS: u32 = 3;

/// Downloads the file into an unnamed temporary file, rewound, having checked its hash.
pub fn download(file: Pinned) -> Result<File> {
    let agent = agent();
    let mut attempt = 1;
    loop {
        match try_download(&agent, file) {
            Ok(done) => return Ok(done),
            Err(_) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot fetch {} (tried {ATTEMPTS} times); the fixtures need network access once, \
                         through HTTPS_PROXY if it is set, or a cache filled elsewhere ({})",
                        file.url,
                        super::cache::VARIABLE
                    )
                });
            }
        }
    }
}

fn try_download(agent: &Agent, file: Pinned) -> Result<File> {
    let mut response = agent.get(file.url).call()?;
    let mut body = response.body_mut().as_reader();
    let mut out = tempfile::tempfile_in(super::cache::dir("tmp")?)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = body.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        out.write_all(&buffer[..n])?;
    }
    let found = hex(&hash.finalize());
    if found != file.sha256 {
        bail!("SHA-256 is {found}, not the pinned {}", file.sha256);
    }
    out.rewind()?;
    Ok(out)
}

fn agent() -> Agent {
    let roots = bundle().map_or(RootCerts::WebPki, |pem| {
        let certificates = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        RootCerts::Specific(Arc::new(certificates))
    });
    Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_global(Some(Duration::from_secs(600)))
        .build()
        .new_agent()
}

fn bundle() -> Option<Vec<u8>> {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named
        .into_iter()
        .chain(BUNDLES.map(PathBuf::from))
        .find_map(|path| fs::read(path).ok())
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
