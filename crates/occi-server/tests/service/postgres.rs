//! The service on PostgreSQL, where `OCCI_TEST_POSTGRES_URL` names one (`scripts/with-postgres` starts one). In this process,
//! because `occid` itself has SQLite only.

use crate::client::Client;
use occi_backend::Backend;
use occi_backend_memory::Memory;
use occi_engine::{Engine, EngineConfig};
use occi_server::accounts::Accounts;
use occi_server::auth::{Authenticator, Hasher};
use occi_server::config::{Address, Config};
use occi_server::http::listen::{Asks, Listener};
use occi_server::http::serve::{Limits, serve};
use occi_server::http::service::Service;
use occi_store::{PostgresStore, Store};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const URL: &str = "OCCI_TEST_POSTGRES_URL";

/// Runs a test as the first operator of a service that has a schema of its own.
pub(crate) fn on_postgres(test: fn(&Client)) {
    let Ok(url) = std::env::var(URL) else {
        println!("SKIPPED: the service on PostgreSQL, because {URL} names none");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let schema = format!("test_{}", uuid::Uuid::new_v4().simple());
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let mut run = async |sql: String| {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await
                .map(drop)
        };
        run(format!("CREATE SCHEMA {schema}")).await.unwrap();
        let joint = if url.contains('?') { '&' } else { '?' };
        let place = format!("{url}{joint}options=-csearch_path%3D{schema}");
        let store: Arc<dyn Store> = Arc::new(PostgresStore::connect(&place).await.unwrap());

        let (config, hasher) = (Config::default(), Hasher::default());
        let authenticator = Arc::new(Authenticator::new(store.clone(), hasher.clone(), &config.auth).unwrap());
        let accounts = Accounts::new(store.clone(), hasher, Some(authenticator.clone()));
        let password = accounts.found(|_| Ok(())).await.unwrap().unwrap();
        let memory: Arc<dyn Backend> = Arc::new(Memory::open(occi_backend_memory::Config::local()).unwrap());
        let backends = vec![("memory".to_owned(), memory)];
        let engine = Engine::start(EngineConfig::default(), store, backends).await.unwrap();

        let address = Address::Tcp("127.0.0.1:0".parse().unwrap());
        let listener = Listener::bind("listen", &address, Asks::Nothing)
            .await
            .unwrap()
            .unwrap();
        let &Listener::Tcp(_, address) = &listener else {
            unreachable!()
        };
        let stop = CancellationToken::new();
        let service = Service::new(
            engine.clone(),
            authenticator,
            &config,
            address.to_string(),
            false,
            stop.clone(),
        )
        .await;
        let limits = Limits::from(&config.http);
        let served = tokio::spawn(serve(listener, None, limits, service.clone(), stop.clone()));
        let admin = Client::new(address).with_basic("admin", &password);
        let tested = tokio::task::spawn_blocking(move || test(&admin)).await;
        stop.cancel();
        service.wind_up();
        served.await.unwrap();
        engine.shutdown().await;
        run(format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
        tested.unwrap();
    });
}
