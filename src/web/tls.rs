//! Pages under TLS (`rustls`), with a certificate that somebody has, or one that we sign ourselves.

use super::answer;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What makes a connection one under TLS.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no certificate in PEM in it ({0})")]
    Certificate(pem::Error),
    #[error("there is no key in PEM in it ({0})")]
    Key(pem::Error),
    #[error("certificate and key cannot be used ({0})")]
    Unfit(#[from] rustls::Error),
    #[error("no certificate can be made ({0})")]
    Unmade(#[from] rcgen::Error),
}

/// A certificate with those that lead to its issuer, and its key, in PEM.
pub struct Pem {
    pub certificate: String,
    pub key: String,
}

/// How long a certificate of our own is good. Longer ones some browsers refuse whatever their user says.
pub const GOOD_FOR: Duration = Duration::from_secs(730 * 86_400);

/// The first byte of a record in which a client begins TLS (RFC 8446).
const HANDSHAKE: u8 = 22;

impl Tls {
    /// With this certificate.
    pub fn new(of: &Pem) -> Result<Tls, Error> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(of.certificate.as_bytes()).collect();
        let chain = chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
        let chain = chain.map_err(Error::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(of.key.as_bytes()).map_err(Error::Key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls(Arc::new(config)))
    }

    /// A connection of a socket that came.
    pub fn wrap(&self, socket: TcpStream) -> io::Result<Tunnel> {
        let tls = ServerConnection::new(self.0.clone()).map_err(io::Error::other)?;
        Ok(Tunnel { tls: StreamOwned::new(tls, socket), begun: false })
    }
}

/// A connection under TLS.
pub struct Tunnel {
    tls: StreamOwned<ServerConnection, TcpStream>,
    /// Something came, and began like TLS.
    begun: bool,
}

impl Tunnel {
    pub fn socket(&self) -> &TcpStream {
        self.tls.get_ref()
    }

    /// What is encrypted waits for the socket.
    pub fn wants_write(&self) -> bool {
        self.tls.conn.wants_write()
    }

    /// Nothing more is written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.tls.conn.send_close_notify();
        self.tls.flush()
    }

    /// Whether what came first is TLS. Who speaks HTTP in the clear is told where the page is.
    fn begins_well(&mut self) -> io::Result<bool> {
        let (mut first, mut socket) = ([0], self.tls.get_ref());
        if self.begun || socket.peek(&mut first)? == 0 || first[0] == HANDSHAKE {
            self.begun = true;
            return Ok(true);
        }
        socket.write_all(&answer::sentence("400 Bad Request", "this page is under https:// alone: put an s behind http"))?;
        // It is read, or the answer would be lost with the connection.
        let _ = socket.read(&mut [0; 4096]);
        Ok(false)
    }
}

impl Read for Tunnel {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.begins_well()? { self.tls.read(bytes) } else { Ok(0) }
    }
}

impl Write for Tunnel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tls.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tls.flush()
    }
}

/// A certificate of our own for these names and addresses, of which a browser asks whether it is to be trusted.
pub fn self_signed(names: &[String]) -> Result<Pem, Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "Eyeline");
    let now = SystemTime::now();
    // Clocks of others may be behind ours.
    (params.not_before, params.not_after) = ((now - Duration::from_secs(86_400)).into(), (now + GOOD_FOR).into());
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Pem { certificate: certificate.pem(), key: key.serialize_pem() })
}
