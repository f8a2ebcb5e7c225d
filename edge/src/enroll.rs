//! `quartier-edge enroll`: the box's identity. The key is made here and stays here; what the city
//! says counts because it is signed with the secret of the invitation, over whatever connection.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use quartier_twin::enrol::{EnrolAnswer, EnrolAsk, Identity, Purpose, Token};
use quartier_twin::files;
use rcgen::{CertificateParams, KeyPair};
use reqwest::Url;
use toml::Value;

use crate::cli::Failure;

const TIME: Duration = Duration::from_secs(60);

/// Where the city is, and the invitation.
#[derive(Debug, Args)]
pub(crate) struct EnrollArgs {
    /// The city's API.
    #[arg(long, value_name = "URL")]
    city: Url,
    /// What `quartier edge invite` printed; good once.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "QUARTIER_ENROL_TOKEN",
        hide_env_values = true
    )]
    token: Token,
    /// Folder for certificate, key and configuration.
    #[arg(long, value_name = "DIR", default_value = "/etc/quartier-edge")]
    out: PathBuf,
    /// Folder of the journal, for the configuration.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/quartier-edge")]
    data: PathBuf,
    /// Replace the identity that is there.
    #[arg(long)]
    replace: bool,
}

const CERTIFICATE: &str = "box.crt";
const KEY: &str = "box.key";
const CA: &str = "ca.crt";
const CONFIG: &str = "quartier.toml";

pub(crate) fn run(args: &EnrollArgs) -> Result<(), Failure> {
    enroll(args).map_err(Failure::fault)
}

fn enroll(args: &EnrollArgs) -> Result<()> {
    let host = args
        .city
        .host_str()
        .context("--city: there is no host in it")?;
    let file = |name: &str| args.out.join(name);
    if file(KEY).exists() && !args.replace {
        bail!(
            "{}: this box has an identity; --replace takes another",
            file(KEY).display()
        );
    }
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    // Before the token is used: a folder that cannot be written would waste it.
    let beside = file("box.key.new");
    let key = KeyPair::generate()?;
    write(&beside, &key.serialize_pem(), 0o600)?;
    let csr = CertificateParams::default()
        .serialize_request(&key)?
        .pem()?;
    let answer = ask(args, csr)?;
    let identity = understood(&args.token, &answer)?;
    fs::rename(&beside, file(KEY)).with_context(|| file(KEY).display().to_string())?;
    write(&file(CERTIFICATE), &identity.certificate, 0o644)?;
    write(&file(CA), &identity.ca, 0o644)?;
    println!(
        "{} is enrolled as the box of {}",
        identity.node, identity.quarter
    );
    for name in [CERTIFICATE, KEY, CA] {
        println!("{}", file(name).display());
    }
    let config = file(CONFIG);
    if config.exists() {
        println!("{}: left as it is; it should say", config.display());
        println!("{}", uplink(&identity, host));
    } else {
        write(&config, &configuration(&identity, host, &args.data), 0o640)?;
        println!("{}", config.display());
    }
    println!("now: systemctl restart quartier-edge");
    Ok(())
}

fn ask(args: &EnrollArgs, csr: String) -> Result<EnrolAnswer> {
    let url = below(&args.city);
    let mac = args.token.key().sign(Purpose::Ask, &csr);
    let id = args.token.id.clone();
    let body = serde_json::to_vec(&EnrolAsk { id, csr, mac })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answered = runtime.block_on(async {
        // Who answers shows that it has the secret, so the certificate need not be known yet.
        let client = reqwest::Client::builder()
            .timeout(TIME)
            .danger_accept_invalid_certs(true)
            .no_proxy()
            .build()?;
        let request = client.post(url.clone()).body(body);
        let answer = request
            .header("content-type", "application/json")
            .send()
            .await?;
        Ok::<_, reqwest::Error>((answer.status(), answer.bytes().await?))
    });
    let (status, body) = answered.with_context(|| url.to_string())?;
    if !status.is_success() {
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let detail = problem.get("detail").and_then(serde_json::Value::as_str);
        bail!("{url}: {}", detail.unwrap_or(status.as_str()));
    }
    serde_json::from_slice(&body).with_context(|| format!("{url}: the answer is not understood"))
}

/// Where boxes enrol; the city may be below a path, as it is for `quartier --node`.
fn below(city: &Url) -> Url {
    let mut url = city.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "v1", "edges", "enrol"]);
    }
    url
}

fn understood(token: &Token, answer: &EnrolAnswer) -> Result<Identity> {
    let signed = token
        .key()
        .has_signed(Purpose::Answer, &answer.identity, &answer.mac);
    if !signed {
        bail!("the answer does not come from the city that gave the token; nothing was written");
    }
    Ok(serde_json::from_str(&answer.identity)?)
}

/// Writes beside and renames. root writes where the service's user may too, so nothing that is there
/// is followed: a link would lead root to any file.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let written = write_new(Path::new(&beside), text, mode);
    let written = written.and_then(|()| fs::rename(&beside, path));
    let folder = path.parent().map_or(Ok(()), files::sync_folder);
    written
        .and(folder)
        .with_context(|| path.display().to_string())
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    belongs_to_the_folder(path, &file);
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// root enrols, and the service's user reads: a file is the folder's owner's.
fn belongs_to_the_folder(path: &Path, file: &File) {
    let folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
    if let Some(folder) = folder
        && let Err(error) = fchown(file, Some(folder.uid()), Some(folder.gid()))
    {
        tracing::debug!(%error, "the file stays whose it is");
    }
}

fn quoted(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn uplink(identity: &Identity, host: &str) -> String {
    let port = identity.mqtts_port.unwrap_or(8883);
    format!(
        "[uplink]\ncity = {}\nca_file = \"{CA}\"\ncert_file = \"{CERTIFICATE}\"\n\
         key_file = \"{KEY}\"\n",
        quoted(&format!("mqtts://{host}:{port}"))
    )
}

/// One page, with what is usual for an SD card.
fn configuration(identity: &Identity, host: &str, data: &Path) -> String {
    let mut text = format!(
        "# A box of the quarter {quarter}. `quartier-edge serve` reads it; keys are explained in\n\
         # docs/operators.md.\n\
         [node]\nname = {node}\nrole = \"edge\"\ndata = {data}\n\n\
         # Devices of the quarter connect here; for more than this machine give it an address and\n\
         # users (`[[mqtt.user]]`).\n\
         [mqtt]\nlisten = \"127.0.0.1:1883\"\n\n\
         # Health, figures and a page about the box.\n\
         [http]\nlisten = \"127.0.0.1:8080\"\n\n\
         {uplink}# Bits a second that may be sent; 0 is any.\nbits_per_s = 0\n\n\
         # What is kept while the city cannot be reached, and what happens when it is full:\n\
         # \"refuse\" (devices wait) or \"drop_oldest\".\n\
         [journal]\nquota_bytes = 4_000_000_000\nwhen_full = \"refuse\"\nkeep_bytes = 200_000_000\n\
         segment_bytes = 16_777_216\n\
         # Milliseconds between two syncs, each of which wears the card; 250 is usual on a box. A\n\
         # device waits about so long at most for its PUBACK, which follows the sync: a power cut\n\
         # loses only what had none, and QoS 0 never has one.\n\
         # sync_ms = 250\n\n\
         [[quarter]]\nid = {id}\nname = {name}\ntimezone = {timezone}\n",
        quarter = identity.quarter,
        node = quoted(&identity.node),
        data = quoted(&data.to_string_lossy()),
        uplink = uplink(identity, host),
        id = quoted(&identity.quarter),
        name = quoted(&identity.quarter_name),
        timezone = quoted(&identity.timezone),
    );
    for (id, keys, quarters) in &identity.labs {
        let list = |items: &[String]| Value::from(items.to_vec());
        text.push_str(&format!(
            "\n[[lab]]\nid = {}\nkeys = {}\nquarters = {}\n",
            quoted(id),
            list(keys),
            list(quarters)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn a_city_below_a_path_is_asked_below_it() {
        for (city, asked) in [
            ("http://h:1", "http://h:1/api/v1/edges/enrol"),
            ("https://h/city", "https://h/city/api/v1/edges/enrol"),
            ("https://h/city/", "https://h/city/api/v1/edges/enrol"),
        ] {
            assert_eq!(below(&city.parse().unwrap()).as_str(), asked);
        }
    }
}
