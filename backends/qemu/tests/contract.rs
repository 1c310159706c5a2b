//! The contract suite on real virtual machines.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod lab;

use futures::FutureExt;
use lab::Lab;
use occi_backend::Backend;
use occi_backend::suite::{Subject, SuiteConfig, run};
use occi_backend_qemu::Qemu;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

fn main() -> ExitCode {
    if let Some(code) = occi_backend_qemu::intercept(std::env::args_os()) {
        return code;
    }
    let lab = Arc::new(Lab::new());
    let config = match lab.config() {
        Ok(config) => config,
        Err(why) => {
            println!("skipped: {why}");
            return ExitCode::SUCCESS;
        }
    };
    let inside = lab.clone();
    let suite = SuiteConfig {
        memory_gib: 0.125,
        slow: true,
        case_timeout: Duration::from_secs(300),
        deafen: Some(Arc::new(|create| create.os_template = "deaf".parse().ok())),
        power_off: Some(Arc::new(move |native_id| {
            let machine = inside.inside(&native_id);
            async move {
                lab::switch_off_inside(&machine).await;
                Ok(())
            }
            .boxed()
        })),
        ..SuiteConfig::default()
    };
    let subject = Subject::new("qemu", suite, async move || {
        let qemu = Qemu::open(config).map_err(|error| error.to_string())?;
        Ok(Arc::new(qemu) as Arc<dyn Backend>)
    });
    let code = run(vec![subject]);
    tokio::runtime::Runtime::new().unwrap().block_on(lab.end());
    code
}
