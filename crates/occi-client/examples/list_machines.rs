//! Lists the machines of a server: `list_machines URL [USER]`, with the password in `OCCI_PASSWORD`.

use occi_client::{Client, Credentials, Listing, blocking};
use std::env;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().ok_or("usage: list_machines URL [USER]")?;
    let mut builder = Client::builder(url.parse()?);
    if let Some(user) = arguments.next() {
        let password = env::var("OCCI_PASSWORD")?.into();
        builder = builder.credentials(Credentials::Basic { user, password });
    }
    let client = blocking::Client::new(builder)?;
    let model = client.model()?;
    for machine in client.entities("compute", &Listing::default())? {
        let machine = machine?;
        let state = machine.state(&model).map_or("-", |state| state.word);
        println!("{}  {state}  {}", machine.location, machine.title().unwrap_or_default());
    }
    Ok(())
}
