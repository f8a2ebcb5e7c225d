//! `quartier cert`: a certificate authority of one's own, and certificates of servers and devices.
//!
//! Nothing is ever overwritten; private keys are readable by their owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

use super::{Failure, Outcome, because};
use crate::model::is_name;
use crate::pki::{Authority, params};

pub(super) use crate::pki::DAYS;

const CA: &str = "ca";
const SERVER: &str = "server";
/// Ten years: every device would have to learn a new one.
const CA_DAYS: i64 = 3650;

/// Certificates for TLS.
#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// Make a certificate authority: keep its key away from the network.
    Ca {
        /// Folder for ca.crt and ca.key.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Its name.
        #[arg(long, default_value = "Quartier CA")]
        name: String,
    },
    /// Make the certificate of a node.
    Server {
        /// Names and addresses by which clients reach the node.
        #[arg(long, value_name = "NAME|IP", required = true, num_args = 1..)]
        host: Vec<String>,
        #[command(flatten)]
        signed: SignedArgs,
    },
    /// Make the certificate of a device or another client.
    Device {
        /// Its user name.
        name: String,
        #[command(flatten)]
        signed: SignedArgs,
    },
}

/// Who signs, and for how long.
#[derive(Debug, Args)]
pub(super) struct SignedArgs {
    /// Folder of the certificate authority.
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Days that it is valid.
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(i64).range(1..=CA_DAYS))]
    days: i64,
    /// Folder for certificate and key.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Certificate and key, as written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

pub(super) fn run(command: &CertCommand) -> Outcome {
    make(command).map_err(Failure::usage)
}

fn make(command: &CertCommand) -> anyhow::Result<()> {
    match command {
        CertCommand::Ca { out, name } => {
            let written = ca(out, name)?;
            report(&written);
            let file = quoted(&written.certificate);
            println!("clients trust the node by this certificate; for certificates of devices add");
            println!("\n[mqtt]\nclient_ca_file = {file}");
        }
        CertCommand::Server { host, signed } => {
            let written = server(&signed.ca, host, signed.days, &signed.out)?;
            report(&written);
            println!("add to the configuration of the node\n\n[mqtt]");
            println!("tls_listen = \"0.0.0.0:8883\"");
            println!("cert_file = {}", quoted(&written.certificate));
            println!("key_file = {}", quoted(&written.key));
        }
        CertCommand::Device { name, signed } => {
            let written = device(&signed.ca, name, signed.days, &signed.out)?;
            report(&written);
            println!(
                "give both to the device with {}",
                signed.ca.join("ca.crt").display()
            );
            println!("and let it in: quartier user add {name} --role device --no-password");
        }
    }
    Ok(())
}

fn report(written: &Written) {
    println!("{}: the certificate", written.certificate.display());
    println!(
        "{}: its private key; show it to nobody",
        written.key.display()
    );
}

fn quoted(path: &Path) -> toml::Value {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().into_owned().into()
}

/// A new certificate authority in `folder`.
pub(super) fn ca(folder: &Path, name: &str) -> anyhow::Result<Written> {
    let mut params = params(name, CA_DAYS, &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    write(folder, CA, &certificate, &key)
}

/// A certificate for a node that is reached as `hosts`.
pub(super) fn server(
    ca: &Path,
    hosts: &[String],
    days: i64,
    folder: &Path,
) -> anyhow::Result<Written> {
    let name = hosts.first().map_or(SERVER, String::as_str);
    let params = params(name, days, hosts)?;
    signed(
        ca,
        params,
        ExtendedKeyUsagePurpose::ServerAuth,
        folder,
        SERVER,
    )
}

/// A certificate with the common name `name`.
fn device(ca: &Path, name: &str, days: i64, folder: &Path) -> anyhow::Result<Written> {
    if !is_name(name) || name.starts_with('.') || [CA, SERVER].contains(&name) {
        bail!("{name:?} cannot be the name of a device: one topic level, not {CA} or {SERVER}");
    }
    let params = params(name, days, &[])?;
    signed(
        ca,
        params,
        ExtendedKeyUsagePurpose::ClientAuth,
        folder,
        name,
    )
}

fn signed(
    ca: &Path,
    params: CertificateParams,
    purpose: ExtendedKeyUsagePurpose,
    folder: &Path,
    name: &str,
) -> anyhow::Result<Written> {
    let authority = Authority::read(ca)?;
    let key = KeyPair::generate()?;
    let certificate = authority.sign(params, purpose, &key)?;
    write(folder, name, &certificate, &key)
}

fn write(folder: &Path, name: &str, certificate: &str, key: &KeyPair) -> anyhow::Result<Written> {
    let written = Written {
        certificate: folder.join(format!("{name}.crt")),
        key: folder.join(format!("{name}.key")),
    };
    for path in [&written.certificate, &written.key] {
        if path.exists() {
            bail!(
                "{}: is there already and is not overwritten; choose another folder",
                path.display()
            );
        }
    }
    let cannot = |path: &Path| format!("{}: cannot be written", path.display());
    fs::create_dir_all(folder).map_err(because(cannot(folder)))?;
    let key = (&written.key, key.serialize_pem(), 0o600);
    let certificate = (&written.certificate, certificate.to_owned(), 0o644);
    for (path, text, mode) in [key, certificate] {
        write_new(path, &text, mode).map_err(because(cannot(path)))?;
    }
    Ok(written)
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn nothing_is_overwritten_and_keys_are_their_owners() {
        let folder = tempfile::tempdir().unwrap();
        let (authority, out) = (folder.path().join("ca"), folder.path().join("out"));
        let error = device(&authority, "meter-1", 10, &out).unwrap_err();
        assert!(error.to_string().contains("quartier cert ca"), "{error}");
        let root = ca(&authority, "Test").unwrap();
        let mode = fs::metadata(&root.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let before = fs::read(&root.key).unwrap();
        assert!(ca(&authority, "Other").is_err());
        assert_eq!(fs::read(&root.key).unwrap(), before);
        let first = device(&authority, "meter-1", 10, &out).unwrap();
        assert!(first.certificate.ends_with("meter-1.crt"));
        assert!(device(&authority, "meter-1", 10, &out).is_err());
        for name in ["a/b", "", "..", "ca", "server", "+"] {
            assert!(device(&authority, name, 10, &out).is_err(), "{name}");
        }
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        assert!(server(&authority, &hosts, 10, &out).is_ok());
    }
}
