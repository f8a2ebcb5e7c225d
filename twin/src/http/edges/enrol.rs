//! Invitation and enrolment: see [`crate::enrol`].

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::access::{Record, Right};
use crate::edges::{Invitation, InvitationError, LONGEST_HOURS};
use crate::enrol::{EnrolAnswer, EnrolAsk, Identity};
use crate::event::{Digest, EdgeEnrolled, Event};
use crate::http::Api;
use crate::http::asyncapi::Entrances;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::model::{Millis, is_name};
use crate::pki::{Authority, DAYS};
use crate::state::EdgeStanding;

/// Hours that an invitation is good unless said otherwise.
const USUAL_HOURS: u32 = 24;

/// Who is invited.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Invite {
    /// Name of the box's node: one topic level. A box of the same name before it is refused once
    /// the new one has enrolled.
    node: String,
    /// Id of the quarter whose home it is.
    quarter: String,
    /// Hours that the invitation is good; 24 unless said otherwise, 336 at most.
    hours: Option<u32>,
    /// Reason, kept in the journal.
    why: String,
}

/// An invitation.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Invited {
    /// For `quartier-edge enroll --token`; shown once.
    token: String,
    /// Not good from then on, RFC 3339.
    expires: String,
    /// The box that has the quarter now: it is retired, for ever, as soon as the invited one
    /// enrols, and what it has not sent by then never comes. Null: there is none, or the invited
    /// one itself has it.
    replaces: Option<String>,
    /// The other quarter whose box has this name now: that box is refused as soon as the invited
    /// one enrols, what it has not sent by then never comes, and the quarter is without a box.
    leaves: Option<String>,
}

/// Invites a box: the answer has a token that gives it its identity, once.
#[utoipa::path(post, path = "/api/v1/edges", request_body = Invite, responses(
    (status = 200, body = Invited), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem), (status = 409, body = Problem),
))]
pub(in crate::http) async fn invite(
    State(api): State<Api>,
    caller: Caller,
    body: Result<Json<Invite>, JsonRejection>,
) -> Result<Json<Invited>, Problem> {
    let Json(wanted) = body?;
    caller.must(Right::Fleet, &wanted.quarter)?;
    if !is_name(&wanted.node) {
        return Err(Problem::bad_request("node must be one topic level"));
    }
    // The box that has the name now will be refused: that is for who runs its quarter to say.
    if let Some(quarter) = quarter_of(&api, &wanted.node) {
        caller.must(Right::Fleet, &quarter)?;
    }
    if api.access.is_user(&wanted.node) {
        return Err(Problem::conflict(format!(
            "{} is a configured user; a box needs a name of its own",
            wanted.node
        )));
    }
    if api
        .status
        .twin
        .read()
        .quarter_index(&wanted.quarter)
        .is_none()
    {
        return Err(Problem::bad_request(format!(
            "there is no quarter {:?}: add a [[quarter]] to the configuration of the city",
            wanted.quarter
        )));
    }
    let hours = wanted.hours.unwrap_or(USUAL_HOURS);
    if !(1..=LONGEST_HOURS).contains(&hours) {
        return Err(Problem::bad_request(format!(
            "hours is 1 to {LONGEST_HOURS}"
        )));
    }
    // Whether there is an authority at all is known before somebody walks to the box.
    authority(&api).await?;
    let replaces = other_box(&api, &wanted);
    let leaves = other_quarter(&api, &wanted);
    let by = caller.0.name().to_owned();
    let invitation = Invitation {
        node: wanted.node.clone(),
        quarter: wanted.quarter,
        by: by.clone(),
        why: wanted.why,
        expires: Millis(0),
    };
    let invitations = api.invitations.clone();
    let made = spawn_blocking(move || invitations.invite(invitation, hours));
    let made = made.await.map_err(|error| Problem::internal(&error))?;
    let token = made.map_err(|error| problem(&error))?;
    tell(&api, "invited", Some(&by), &wanted.node);
    let expires = Millis::now().plus(i64::from(hours) * 3_600_000);
    Ok(Json(Invited {
        token: token.to_string(),
        expires: expires.to_string(),
        replaces,
        leaves,
    }))
}

/// Gives a box its certificate, for a request that is signed with the secret of an invitation. No
/// login: the invitation is one.
#[utoipa::path(post, path = "/api/v1/edges/enrol", request_body = EnrolAsk, responses(
    (status = 200, body = EnrolAnswer), (status = 400, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem),
))]
pub(in crate::http) async fn enrol(
    State(api): State<Api>,
    body: Result<Json<EnrolAsk>, JsonRejection>,
) -> Result<Json<EnrolAnswer>, Problem> {
    let Json(ask) = body?;
    let authority = authority(&api).await?;
    let invitations = api.invitations.clone();
    let csr = ask.csr.clone();
    let taken = spawn_blocking(move || invitations.take(&ask));
    let taken = taken.await.map_err(|error| Problem::internal(&error))?;
    let admitted = taken.map_err(|error| {
        api.access.turned_away(Record {
            what: "edge",
            result: "refused",
            detail: Some("enrol"),
            ..Record::default()
        });
        problem(&error)
    })?;
    let Invitation {
        node,
        quarter,
        by,
        why,
        ..
    } = admitted.invitation.clone();
    let (certificate, der) = authority
        .sign_request(&csr, &node, DAYS)
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    api.recorder
        .record(vec![Event::EdgeEnrolled(EdgeEnrolled {
            node: node.clone(),
            quarter: quarter.clone(),
            certificate: Digest::of(&der),
            by,
            why,
        })])
        .await?;
    tell(&api, "enrolled", Some(&node), &quarter);
    let declared = {
        let twin = api.status.twin.read();
        let edge = twin.edges().get(&node);
        edge.map_or_else(Vec::new, |edge| api.declared.orders(edge))
    };
    api.recorder.record(declared).await?;
    let identity = identity(&api, node, quarter, certificate, authority.pem);
    let identity = serde_json::to_string(&identity).map_err(|error| Problem::internal(&error))?;
    let mac = admitted.sign(&identity);
    Ok(Json(EnrolAnswer { identity, mac }))
}

fn quarter_of(api: &Api, node: &str) -> Option<String> {
    let twin = api.status.twin.read();
    let edge = twin.edges().get(node)?;
    Some(edge.record.quarter.clone())
}

/// The box of the quarter, where it is not the invited one.
fn other_box(api: &Api, wanted: &Invite) -> Option<String> {
    let twin = api.status.twin.read();
    let edge = twin.edges().of_quarter(&wanted.quarter)?;
    let node = &edge.record.node;
    (*node != wanted.node).then(|| node.clone())
}

/// The quarter of the box that has the name, where it is not the one it is invited to.
fn other_quarter(api: &Api, wanted: &Invite) -> Option<String> {
    let twin = api.status.twin.read();
    let edge = twin.edges().get(&wanted.node)?;
    let quarter = &edge.record.quarter;
    (edge.standing != EdgeStanding::Retired && *quarter != wanted.quarter).then(|| quarter.clone())
}

fn identity(api: &Api, node: String, quarter: String, certificate: String, ca: String) -> Identity {
    let twin = api.status.twin.read();
    let known = twin.quarter_index(&quarter);
    let record = known.and_then(|index| twin.quarters().get(usize::from(index)));
    Identity {
        quarter_name: record.map_or_else(|| quarter.clone(), |q| q.record.name.clone()),
        timezone: record.map_or_else(String::new, |q| q.record.timezone.clone()),
        node,
        quarter,
        certificate,
        ca,
        mqtts_port: match &api.entrances {
            Entrances::Embedded { mqtts, .. } => mqtts.map(|address| address.port()),
            Entrances::External(_) => None,
        },
        labs: api.deployer.labs(),
    }
}

/// Reads files.
async fn authority(api: &Api) -> Result<Authority, Problem> {
    let Some(folder) = api.authority.clone() else {
        return Err(Problem::conflict(
            "this city has no authority for boxes: `quartier cert ca`, then [edge] ca_dir, and \
             [mqtt] client_ca_file with its ca.crt",
        ));
    };
    let read = spawn_blocking(move || Authority::read(&folder)).await;
    let read = read.map_err(|error| Problem::internal(&error))?;
    read.map_err(|error| Problem::internal(&error))
}

fn problem(error: &InvitationError) -> Problem {
    match error {
        InvitationError::NotGood => Problem::forbidden(error.to_string()),
        InvitationError::TooMany => Problem::conflict(error.to_string()),
        InvitationError::Token(_) | InvitationError::File { .. } => Problem::internal(error),
    }
}

fn tell(api: &Api, result: &str, user: Option<&str>, detail: &str) {
    api.access.did(Record {
        what: "edge",
        result,
        user,
        detail: Some(detail),
        ..Record::default()
    });
}
