//! The interface as it is promised.

use utoipa::OpenApi as _;

use super::Description;

#[test]
fn the_openapi_document_changes_only_on_purpose() {
    insta::assert_json_snapshot!("openapi", Description::openapi());
}
