//! The contract suite on both personalities, and through all layers.

use futures::FutureExt;
use occi_backend::Backend;
use occi_backend::layers::{LayerConfig, standard};
use occi_backend::names::{USER_DATA, attribute};
use occi_backend::suite::{Subject, SuiteConfig, run};
use occi_backend_memory::{Config, Control, Memory};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

fn subject(
    name: &'static str,
    config: Config,
    wrap: impl FnOnce(Memory) -> Arc<dyn Backend> + Send + 'static,
) -> Subject {
    let control: Arc<OnceLock<Control>> = Arc::default();
    let reached = control.clone();
    let suite = SuiteConfig {
        deafen: Some(Arc::new(|create| {
            create.mixins.push(USER_DATA.clone());
            let word = "#!/bin/true ignore-graceful-stop";
            create.attributes.set(attribute("occi.compute.userdata"), word);
        })),
        power_off: Some(Arc::new(move |native_id| {
            let control = reached.get().cloned();
            async move {
                let control = control.ok_or("the engine is not open")?;
                control.power_off("suite", &native_id);
                Ok(())
            }
            .boxed()
        })),
        ..SuiteConfig::default()
    };
    Subject::new(name, suite, async move || {
        let memory = Memory::open(config).map_err(|error| error.to_string())?;
        let _first = control.set(memory.control());
        Ok(wrap(memory))
    })
}

fn main() -> ExitCode {
    let bounded = Config {
        memory_gib: Some(64.0),
        ..Config::local()
    };
    let plain = |memory| Arc::new(memory) as Arc<dyn Backend>;
    let layered = |memory| standard("memory", Arc::new(memory), LayerConfig::default());
    run(vec![
        subject("local", bounded, plain),
        subject("remote", Config::remote(), plain),
        subject("layered", Config::remote(), layered),
    ])
}
