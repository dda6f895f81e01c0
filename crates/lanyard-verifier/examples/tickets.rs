//! A tool behind Lanyard that lists and moves tickets for callers whose token allows that.
//!
//!     cargo run -p lanyard-verifier --example tickets -- ISSUER [ADDRESS [CA-FILE [LISTEN]]]
//!
//! ISSUER is the broker's name in its tokens, ADDRESS is where the broker is reached if that
//! differs, and CA-FILE holds the authority of its certificate.

use std::error::Error;

use axum::routing::{get, post};
use axum::{Extension, Router};
use lanyard_verifier::{Accepted, Broker, Demands, Verifier, require_scopes};

async fn list(Extension(caller): Extension<Accepted>) -> String {
    format!(
        "tickets of {}, for {} under {}\n",
        caller.environment, caller.agent, caller.task
    )
}

async fn shift(Extension(caller): Extension<Accepted>) -> String {
    format!("moved, by lease {}\n", caller.lease)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let issuer = arguments.next().ok_or("the broker's issuer is missing")?;
    let mut broker = Broker::named(&issuer)?;
    if let Some(address) = arguments.next() {
        broker = broker.reached_at(&address)?;
    }
    if let Some(roots) = arguments.next() {
        broker = broker.trusting(std::fs::read(roots)?);
    }
    let listen = arguments.next().unwrap_or("127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let own = format!("http://{}", listener.local_addr()?);
    let demands = Demands::audience("https://tickets.acme.example");
    let verifier = Verifier::new(broker, demands.reached_at(&own))?;
    let read = require_scopes(["tickets.read"]);
    let change = require_scopes(["tickets.read", "tickets.move"]);
    let app = Router::new()
        .route("/tickets", get(list).layer(read))
        .route("/moves", post(shift).layer(change))
        .layer(verifier.layer());
    println!("tickets: {own}");
    axum::serve(listener, app).await?;
    Ok(())
}
