use std::net::TcpListener;

use kilowatch_serving::{Application, ServingConfig, StartError};
use tokio_util::sync::CancellationToken;

use crate::support::{World, deps_of};

fn listening_on(listen: &str) -> ServingConfig {
    ServingConfig { listen: listen.to_owned(), ..ServingConfig::default() }
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_fix() {
    let world = World::empty().await;
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let error = Application::build(deps_of(&world), listening_on(&taken.to_string())).unwrap_err();
    assert!(matches!(error, StartError::AddressTaken { address } if address == taken), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(&taken.to_string()) && message.contains("--listen"), "{message}");
}

#[tokio::test]
async fn it_does_not_listen_where_other_machines_could_call() {
    let world = World::empty().await;
    let error = Application::build(deps_of(&world), listening_on("0.0.0.0:0")).unwrap_err().to_string();
    assert!(error.contains("serving.listen") && error.contains("no authentication"), "{error}");
}

#[tokio::test]
async fn a_default_stream_that_nobody_knows_is_refused_with_the_known_ones() {
    let world = World::empty().await;
    let config = ServingConfig { default_stream: "hosehold".into(), ..listening_on("127.0.0.1:0") };
    let error = Application::build(deps_of(&world), config).unwrap_err().to_string();
    assert!(
        error.contains("hosehold") && error.contains("known: campus, grid, household, power-plant, sensor"),
        "{error}"
    );
}

#[tokio::test]
async fn it_ends_when_it_is_told_to() {
    let world = World::empty().await;
    let application = Application::build(deps_of(&world), listening_on("127.0.0.1:0")).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(application.run_until_stopped(stop.clone()));
    stop.cancel();
    running.await.unwrap().unwrap();
}
