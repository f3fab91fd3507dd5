//! Relays of a test's own: the real moq-relay, with certificates made for it.

#![allow(dead_code, reason = "each test program uses its part")]

use crate::folder::Folder;
use crate::namespace::Namespace;
use crate::program::Program;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The port of the first; the others have those behind it.
pub const PORT: u16 = 24443;

/// Where it is in the network of the test.
pub const HERE: &str = "127.0.0.1";

/// Where `scripts/install relay` puts it.
fn binary() -> PathBuf {
    let said = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/relay")).output().expect("bash");
    let path = String::from_utf8_lossy(&said.stdout).trim().to_string();
    assert!(said.status.success() && Path::new(&path).is_file(), "there is no moq-relay: scripts/install relay");
    path.into()
}

/// Certificates: one that signs, and one for all nodes.
pub struct Certificates(Folder);

impl Certificates {
    /// For these addresses.
    pub fn new(test: &str, addresses: &[&str]) -> Certificates {
        let folder = Folder::new(test);
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        fs::write(folder.0.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(authority, key);
        let names: Vec<String> = addresses.iter().map(|address| address.to_string()).collect();
        let mut node = CertificateParams::new(names).unwrap();
        node.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        fs::write(folder.0.join("node.pem"), node.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        fs::write(folder.0.join("node.key"), key.serialize_pem()).unwrap();
        Certificates(folder)
    }

    /// Where one of these files is.
    pub fn path(&self, name: &str) -> String {
        self.0.0.join(name).display().to_string()
    }

    /// Starts a node on this port of `at`, with what it is told beside; it listens.
    pub fn node(&self, network: &Namespace, at: &str, port: u16, more: &str) -> Program {
        let [certificate, key, root] = ["node.pem", "node.key", "ca.pem"].map(|name| self.path(name));
        let args = format!(
            "--listen {at}:{port} --listen-tls-cert {certificate} --listen-tls-key {key} --connect-tls-root {root} \
             --quic-idle-timeout 2s --quic-keep-alive 500ms {more}"
        );
        // It says a line a stream, else.
        let quiet = "env RUST_LOG=warn,moq_relay::relay=info NO_COLOR=1";
        let mut node = network.start(quiet, &format!("{} {args}", binary().display()));
        node.said("listening");
        node
    }

    /// The flags by which a program goes to the room of a node.
    pub fn room(&self, at: &str, port: u16) -> String {
        format!("--relay https://{at}:{port}/ --relay-ca {}", self.path("ca.pem"))
    }
}

/// What a node lets anybody do.
pub const PUBLIC: &str = "--auth-public **";

/// What connects a node to another one.
pub fn link(at: &str, port: u16) -> String {
    format!("--cluster-connect https://{at}:{port}/")
}
