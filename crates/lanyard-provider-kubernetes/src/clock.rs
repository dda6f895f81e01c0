//! The API server's clock.

use kube::Client;
use kube::client::Body;
use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::time::Timestamp;

use crate::answer::ambiguous;

/// Reads the `Date` header of the answer to `/version`, which every identity may read.
pub(crate) async fn time(client: &Client) -> Result<Option<Timestamp>, ProviderError> {
    let silent = |code: &str| ambiguous("ask for the time", code);
    let request = http::Request::get("/version").body(Body::empty());
    let request = request.map_err(|_| silent("no request"))?;
    let answer = client.send(request).await;
    let answer = answer.map_err(|_| silent("not reached"))?;
    let date = answer.headers().get(http::header::DATE);
    let date = date.and_then(|date| date.to_str().ok());
    Ok(date.and_then(Timestamp::from_http_date))
}
