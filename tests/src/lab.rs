//! A quarter lab: its key, its packages, and a node's API as it calls it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use quartier_plugin_host::{Package, SigningKey};
use serde_json::Value;

use crate::http::{Answer, send};
use crate::node::quartier;
use crate::process::{Finished, run};

/// Longest run of the command line: a node compiles a plugin before it says yes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between the parts of a form; in no component.
const BOUNDARY: &str = "----quartier-tests-7f3a51c2";

/// A lab with a key of its own.
#[derive(Debug)]
pub struct Lab {
    id: String,
    pem: String,
    key: SigningKey,
}

impl Lab {
    /// With a new key.
    pub fn new(id: &str) -> Self {
        let pem = SigningKey::generate().unwrap_or_else(|error| panic!("no key: {error}"));
        let key = SigningKey::from_pem(&pem).unwrap_or_else(|error| panic!("no key: {error}"));
        Self {
            id: id.to_owned(),
            pem,
            key,
        }
    }

    /// Its `[[lab]]` in a node's configuration.
    pub fn config(&self, quarters: &[&str]) -> String {
        let (id, key) = (&self.id, self.key.public());
        format!("\n[[lab]]\nid = \"{id}\"\nkeys = [\"{key}\"]\nquarters = {quarters:?}\n")
    }

    /// Text of its private key.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A plugin of `plugins/build` with changes to the text of its manifest, signed; `None`, said
    /// on stderr, where it was not built.
    pub fn package(&self, name: &str, changes: &[(&str, &str)]) -> Option<Package> {
        unsigned(name, changes).map(|package| self.signed(package))
    }

    /// With this lab's signature of the manifest as it is.
    pub fn signed(&self, package: Package) -> Package {
        let signature = self.key.sign(&package.manifest);
        let signature = signature.unwrap_or_else(|error| panic!("not signed: {error}"));
        Package {
            signature: Some(signature),
            ..package
        }
    }
}

/// A plugin of `plugins/build` with changes to the text of its manifest, each of which must be
/// possible.
pub fn unsigned(name: &str, changes: &[(&str, &str)]) -> Option<Package> {
    let folder = crate::component(name)?;
    let package = Package::read(&folder).unwrap_or_else(|error| panic!("{error}"));
    let mut manifest = package.manifest;
    for (from, to) in changes {
        assert!(manifest.contains(from), "no {from:?} in {manifest}");
        manifest = manifest.replace(from, to);
    }
    Some(Package {
        manifest,
        signature: None,
        ..package
    })
}

/// Runs `quartier` to its end.
pub fn cli(args: &[&str]) -> Finished {
    run(Command::new(quartier()).args(args), PATIENCE)
}

/// A form as browsers and curl send it: its content type, and the body.
pub fn form(parts: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, content) in parts {
        let head =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

/// A node's API as somebody calls it.
#[derive(Debug, Clone)]
pub struct Api {
    server: SocketAddr,
    fields: Vec<(String, String)>,
}

impl Api {
    /// As somebody without a login.
    pub fn of(server: SocketAddr) -> Self {
        Self {
            server,
            fields: Vec::new(),
        }
    }

    /// With a header field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a bearer token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    /// Any request; panics where there is no answer at all.
    pub fn call(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let mut fields: Vec<(&str, &str)> = self
            .fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        if !content_type.is_empty() {
            fields.push(("Content-Type", content_type));
        }
        let answer = send(self.server, method, path, &fields, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error:#}"))
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "", &[])
    }

    /// POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(
            "POST",
            path,
            "application/json",
            body.to_string().as_bytes(),
        )
    }

    /// Deploys a package with more fields of the form: `stage`, `why`, `set`.
    pub fn deploy(&self, quarter: &str, package: &Package, more: &[(&str, &str)]) -> Answer {
        let mut parts: Vec<(&str, &[u8])> = vec![
            ("manifest", package.manifest.as_bytes()),
            ("component", &package.component),
        ];
        if let Some(signature) = &package.signature {
            parts.push(("signature", signature.as_bytes()));
        }
        parts.extend(more.iter().map(|(name, value)| (*name, value.as_bytes())));
        let (content_type, body) = form(&parts);
        let path = format!("/api/v1/plugins/{quarter}");
        self.call("POST", &path, &content_type, &body)
    }

    /// The same, and it must be taken.
    pub fn deployed(&self, quarter: &str, package: &Package, more: &[(&str, &str)]) -> Value {
        let answer = self.deploy(quarter, package, more);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json().unwrap_or_default()
    }
}
