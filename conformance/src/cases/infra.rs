//! The infrastructure document, its templates and the extensions in production (GFD.224, GFD.222).

use crate::cases::core::{IPNETWORK, OS_TPL, PROFILE, RESOURCE_TPL, SSH_KEY, USER_DATA, id_of, members, strings};
use crate::reading::Literal;
use crate::site::{INFRA, Site, kind, mixin, unique};
use crate::suite::{cases, skip};
use crate::thing::Thing;
use serde_json::{Value, json};
use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

cases!(Checklist:
    infra_1_infra_2_the_attributes_of_a_compute_are_as_tabled,
    infra_9_infra_12_infra_15_infra_17_infra_18_infra_37_those_of_the_others_too,
    infra_3_actions_have_their_parameters,
    infra_3_infra_5_a_compute_goes_through_its_states,
    infra_4_a_saved_compute_is_a_template,
    infra_8_a_wrong_method_is_refused_and_none_means_the_default,
    infra_10_a_network_goes_down_and_up,
    infra_12_a_volume_goes_offline_and_online,
    infra_13_a_volume_is_backed_up_and_resized,
    infra_14_a_volume_grows_by_an_update,
    infra_15_infra_17_infra_43_an_interface_has_an_address,
    infra_18_a_volume_is_attached_under_a_name,
    infra_19_links_follow_their_ends,
    infra_20_infra_21_templates_are_there_and_one_is_the_default,
    infra_22_infra_44_a_new_size_replaces_the_old,
    infra_23_a_new_system_replaces_the_old_or_is_refused,
    infra_25_infra_43_a_key_is_kept,
    infra_27_infra_28_keys_and_data_are_known_by_their_other_names,
    infra_28_the_twins_do_not_mix,
    infra_29_infra_31_the_profile_has_its_sizes,
    infra_30_a_compute_has_one_size,
    infra_32_the_kinds_in_production_are_there,
    infra_33_the_rules_of_a_group_are_checked,
    infra_34_what_is_in_use_stays,
    infra_36_a_hostname_may_be_anything,
    infra_38_what_is_made_comes_up_by_itself,
    infra_39_a_first_start_is_welcome,
    infra_40_a_deletion_is_taken_while_it_comes_up,
    infra_45_core_10_a_compute_of_the_profile_shows_its_disk,
    infra_41_user_data_runs_in_the_machine,
    infra_42_the_key_logs_in,
);

const OPENSTACK_PUBLIC_KEY: &str = "http://schemas.openstack.org/instance/credentials#public_key";
const IPNETWORKINTERFACE: &str = "http://schemas.ogf.org/occi/infrastructure/networkinterface#ipnetworkinterface";

/// Name, type, mutable, required.
type Row = (&'static str, &'static str, bool, bool);

fn assert_table(site: &Site, class: &str, id: &str, rows: &[Row]) {
    let model = site.json_model();
    let found = members(&model, class)
        .into_iter()
        .find(|category| id_of(category) == id);
    let attributes = found.unwrap_or_else(|| panic!("no {id}"))["attributes"].clone();
    for (name, kind, mutable, required) in rows {
        let definition = &attributes[name];
        let expected = json!({ "type": kind, "mutable": mutable, "required": required });
        for (member, value) in expected.as_object().into_iter().flatten() {
            assert_eq!(&definition[member], value, "{id}: {name}: {member}");
        }
    }
    let prefix = rows
        .first()
        .map_or("", |(name, ..)| name.rsplit_once('.').map_or("", |(prefix, _)| prefix));
    let own = attributes
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with(prefix));
    let more: Vec<_> = own
        .map(|(name, _)| name.as_str())
        .filter(|name| rows.iter().all(|row| row.0 != *name))
        .collect();
    assert_eq!(more, Vec::<&str>::new(), "{id} has more than the table");
}

fn infra_1_infra_2_the_attributes_of_a_compute_are_as_tabled(site: &Site) {
    assert_table(
        site,
        "kinds",
        &format!("{INFRA}compute"),
        &[
            ("occi.compute.architecture", "string", true, false),
            ("occi.compute.cores", "number", true, false),
            ("occi.compute.hostname", "string", true, false),
            ("occi.compute.share", "number", true, false),
            ("occi.compute.speed", "number", true, false),
            ("occi.compute.memory", "number", true, false),
            ("occi.compute.state", "string", false, false),
            ("occi.compute.state.message", "string", false, false),
        ],
    );
    let compute = site.compute(&[
        "X-OCCI-Attribute: occi.compute.architecture=\"x64\", occi.compute.cores=1, occi.compute.hostname=\"tabled\"",
        "X-OCCI-Attribute: occi.compute.share=5, occi.compute.speed=2.5, occi.compute.memory=0.5",
    ]);
    let reading = compute.read();
    for (name, value) in [
        ("occi.compute.architecture", "x64"),
        ("occi.compute.cores", "1"),
        ("occi.compute.hostname", "tabled"),
        ("occi.compute.share", "5"),
        ("occi.compute.speed", "2.5"),
        ("occi.compute.memory", "0.5"),
    ] {
        assert_eq!(reading.get(name), Some(value), "{name}");
    }
    // GFD.185 spells the architecture so in its example.
    let old = site.compute(&["X-OCCI-Attribute: occi.compute.architecture=\"x86_64\""]);
    assert_eq!(old.get("occi.compute.architecture").as_deref(), Some("x64"));
}

fn infra_9_infra_12_infra_15_infra_17_infra_18_infra_37_those_of_the_others_too(site: &Site) {
    assert_table(
        site,
        "kinds",
        &format!("{INFRA}network"),
        &[
            ("occi.network.vlan", "number", true, false),
            ("occi.network.label", "string", true, false),
            ("occi.network.state", "string", false, false),
            ("occi.network.state.message", "string", false, false),
        ],
    );
    assert_table(
        site,
        "kinds",
        &format!("{INFRA}storage"),
        &[
            ("occi.storage.size", "number", true, true),
            ("occi.storage.state", "string", false, false),
            ("occi.storage.state.message", "string", false, false),
        ],
    );
    assert_table(
        site,
        "kinds",
        &format!("{INFRA}networkinterface"),
        &[
            ("occi.networkinterface.interface", "string", false, false),
            ("occi.networkinterface.mac", "string", true, false),
            ("occi.networkinterface.state", "string", false, false),
            ("occi.networkinterface.state.message", "string", false, false),
        ],
    );
    assert_table(
        site,
        "kinds",
        &format!("{INFRA}storagelink"),
        &[
            ("occi.storagelink.deviceid", "string", true, false),
            ("occi.storagelink.mountpoint", "string", true, false),
            ("occi.storagelink.state", "string", false, false),
            ("occi.storagelink.state.message", "string", false, false),
        ],
    );
    assert_table(
        site,
        "mixins",
        IPNETWORK,
        &[
            ("occi.network.address", "string", true, false),
            ("occi.network.gateway", "string", true, false),
            ("occi.network.allocation", "string", true, false),
        ],
    );
    assert_table(
        site,
        "mixins",
        IPNETWORKINTERFACE,
        &[
            ("occi.networkinterface.address", "string", true, false),
            ("occi.networkinterface.gateway", "string", true, false),
            ("occi.networkinterface.allocation", "string", true, false),
        ],
    );
    let required = |term: &str| -> Vec<String> {
        let definitions = site.category(&format!("{INFRA}{term}")).definitions();
        definitions
            .into_iter()
            .filter(|(_, flags)| flags.contains("required"))
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(required("network"), Vec::<String>::new());
    assert_eq!(required("compute"), Vec::<String>::new());
    assert_eq!(required("networkinterface"), ["occi.core.source", "occi.core.target"]);
}

fn infra_3_actions_have_their_parameters(site: &Site) {
    let model = site.json_model();
    let scheme = |of: &str| format!("http://schemas.ogf.org/occi/infrastructure/{of}/action#");
    for (of, terms) in [
        ("compute", &["start", "stop", "restart", "suspend", "save"][..]),
        ("network", &["up", "down"]),
        ("storage", &["online", "offline", "backup", "snapshot", "resize"]),
        ("networkinterface", &["up", "down"]),
        ("storagelink", &["online", "offline"]),
    ] {
        let kind = members(&model, "kinds")
            .into_iter()
            .find(|kind| id_of(kind) == format!("{INFRA}{of}"));
        let offered = strings(&kind.unwrap_or_default()["actions"]);
        for term in terms {
            let id = format!("{}{term}", scheme(of));
            assert!(offered.contains(&id), "{of} has no {term}");
            assert!(
                members(&model, "actions").iter().any(|action| id_of(action) == id),
                "{id} is not defined"
            );
        }
    }
    let parameters = |term: &str| -> Value {
        let id = format!("{}{term}", scheme("compute"));
        let action = members(&model, "actions")
            .into_iter()
            .find(|action| id_of(action) == id);
        action.unwrap_or_default()["attributes"].clone()
    };
    for (term, methods, default) in [
        ("stop", &["graceful", "acpioff", "poweroff"][..], "poweroff"),
        ("restart", &["graceful", "warm", "cold"], "cold"),
        ("suspend", &["hibernate", "suspend"], "suspend"),
        ("save", &["hot", "deferred"], "deferred"),
    ] {
        let method = parameters(term)["method"].clone();
        assert_eq!(method["default"], default, "{term}");
        assert_eq!(method["required"], false, "{term}");
        let pattern = method["pattern"].to_string();
        assert!(methods.iter().all(|known| pattern.contains(known)), "{term}: {pattern}");
    }
    assert_eq!(parameters("save")["name"]["type"], "string");
}

/// A machine that is asked to stop has to be one that listens. Where the server shows a line for ssh, that is when the
/// port behind it greets; otherwise it is taken for booted.
fn wait_for_boot(compute: &Thing<'_>) {
    let shown = compute.get("occi.compute.state.message").unwrap_or_default();
    let login = shown.split_once("ssh -p ").map(|(_, login)| login);
    let Some((port, host)) = login.and_then(|login| login.split_once(' ')) else {
        return;
    };
    let host = host.split_whitespace().next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let address = format!("{host}:{port}");
    let greets = || {
        let mut stream = TcpStream::connect(&address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).ok()?;
        (greeting == *b"SSH-").then_some(())
    };
    let begin = Instant::now();
    while greets().is_none() {
        assert!(begin.elapsed() < compute.patience(), "nobody greets at {address}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn infra_3_infra_5_a_compute_goes_through_its_states(site: &Site) {
    let compute = site.running(&[]);
    let method = |method: &str| format!("X-OCCI-Attribute: method=\"{method}\"");
    let step = |term: &str, with: Option<&str>, state: &str| {
        let line = with.map(method);
        let lines: Vec<_> = line.iter().map(String::as_str).collect();
        compute.act_to_the_end(term, &lines).is(200);
        compute.wait(state);
        if state == "active" {
            wait_for_boot(&compute);
        }
    };
    wait_for_boot(&compute);
    compute.act("start", &[]).is(200); // The first action of a client after the boot.
    compute.act("start", &[]).is(409);
    step("suspend", Some("suspend"), "suspended");
    for term in ["stop", "restart", "suspend", "save"] {
        compute.act(term, &[]).is(409);
    }
    step("start", None, "active");
    for way in ["graceful", "warm", "cold"] {
        step("restart", Some(way), "active");
    }
    for way in ["graceful", "acpioff", "poweroff"] {
        step("stop", Some(way), "inactive");
        step("start", None, "active");
    }
    step("suspend", Some("hibernate"), "suspended");
    step("start", None, "active");
    step("stop", None, "inactive");
    for term in ["stop", "restart", "suspend"] {
        compute.act(term, &[]).is(409);
    }
    compute.remove().is(200);
}

fn infra_4_a_saved_compute_is_a_template(site: &Site) {
    let compute = site.running(&[]);
    let name = unique("saved");
    let answer = compute
        .act_to_the_end("save", &[&format!("X-OCCI-Attribute: name=\"{name}\", method=\"hot\"")])
        .is(200);
    let reading = answer.read();
    let [template] = reading.categories.as_slice() else {
        answer.fail("the answer is not one category");
    };
    assert_eq!(template.class(), "mixin");
    assert_eq!(template.get("rel"), Some(OS_TPL));
    compute.wait("active");
    let known = site.category(&template.id());
    assert_eq!(known.get("rel"), Some(OS_TPL));
    assert_ne!(known.get("location"), None);
    // It is a copy: it serves without its origin.
    compute.remove().is(200);
    let again = site.running(&[&mixin(&template.id())]);
    assert!(again.read().has_category(&template.id()));
    // It is said in JSON, too.
    let action =
        json!({ "action": "http://schemas.ogf.org/occi/infrastructure/compute/action#save", "attributes": {} });
    let ask = site
        .post(&format!("{}?action=save", again.url))
        .accept("application/occi+json")
        .header("Prefer", &format!("wait={}", site.patience.as_secs()))
        .json(&action);
    let saved = ask.send().is(200).json();
    let saved = saved["mixins"].get(0).unwrap_or(&saved);
    assert_eq!(strings(&saved["depends"]), [OS_TPL]);
}

fn infra_8_a_wrong_method_is_refused_and_none_means_the_default(site: &Site) {
    let compute = site.running(&[]);
    compute.act("stop", &["X-OCCI-Attribute: method=\"gently\""]).is(400);
    compute.act("stop", &["X-OCCI-Attribute: method=1"]).is(400);
    compute.act("stop", &["X-OCCI-Attribute: force=\"yes\""]).is(400);
    assert_eq!(compute.state(), "active");
    compute.act("stop", &[]).is(200);
    compute.wait("inactive");
    // An example of GFD.185 sends a method with start.
    compute.act("start", &["X-OCCI-Attribute: method=\"graceful\""]).is(200);
    compute.wait("active");
}

fn infra_10_a_network_goes_down_and_up(site: &Site) {
    let network = site.network(&[]);
    network.act("down", &[]).is(200);
    network.wait("inactive");
    network.act("down", &[]).is(409);
    assert_eq!(network.read().actions(), ["up"]);
    network.act("up", &[]).is(200);
    network.wait("active");
    network.act("up", &[]).is(409);
    assert_eq!(network.read().actions(), ["down"]);
}

fn infra_12_a_volume_goes_offline_and_online(site: &Site) {
    let storage = site.storage(&[]);
    assert_eq!(
        storage.read().literal("occi.storage.size"),
        Some(&Literal::Bare("1.0".to_owned()))
    );
    storage.act("offline", &[]).is(200);
    storage.wait("offline");
    storage.act("offline", &[]).is(409);
    storage.act("online", &[]).is(200);
    storage.wait("online");
    storage.act("online", &[]).is(409);
}

fn infra_13_a_volume_is_backed_up_and_resized(site: &Site) {
    let storage = site.storage(&[]);
    let offered = site.category(&format!("{INFRA}storage"));
    let offered = offered.get("actions").unwrap_or_default().to_owned();
    for term in ["backup", "snapshot"] {
        let status = if offered.contains(&format!("action#{term}")) {
            200
        } else {
            501
        };
        storage.act(term, &[]).is(status);
        storage.wait("online");
    }
    if offered.contains("action#resize") {
        storage.act("resize", &["X-OCCI-Attribute: size=2.5"]).is(200);
        storage.wait_for("a size of 2.5", |reading| {
            reading.get("occi.storage.size") == Some("2.5")
        });
        storage.act("resize", &["X-OCCI-Attribute: size=1"]).is(409);
        storage.act("resize", &["X-OCCI-Attribute: size=-1"]).is(400);
        storage.act("resize", &[]).is(400);
        assert_eq!(storage.get("occi.storage.size").as_deref(), Some("2.5"));
    }
}

fn infra_14_a_volume_grows_by_an_update(site: &Site) {
    let storage = site.storage(&[]);
    storage.update(&["X-OCCI-Attribute: occi.storage.size=3"]).is(200);
    storage.wait_for("a size of 3", |reading| reading.get("occi.storage.size") == Some("3.0"));
    storage.update(&["X-OCCI-Attribute: occi.storage.size=2"]).is(409);
    assert_eq!(storage.get("occi.storage.size").as_deref(), Some("3.0"));
}

fn infra_15_infra_17_infra_43_an_interface_has_an_address(site: &Site) {
    let address = "X-OCCI-Attribute: occi.network.address=\"192.0.2.0/24\", occi.network.gateway=\"192.0.2.1\", occi.network.allocation=\"static\"";
    let network = site.network(&[&mixin(IPNETWORK), address]);
    let compute = site.running(&[]);
    let own = "X-OCCI-Attribute: occi.networkinterface.address=\"192.0.2.77\", occi.networkinterface.gateway=\"192.0.2.1\", occi.networkinterface.allocation=\"static\"";
    let link = site.link(
        "networkinterface",
        &compute,
        &network,
        &[&mixin(IPNETWORKINTERFACE), own],
    );
    link.wait("active");
    let reading = link.read();
    assert!(reading.has_category(IPNETWORKINTERFACE));
    assert_eq!(reading.get("occi.networkinterface.address"), Some("192.0.2.77"));
    assert_eq!(reading.get("occi.networkinterface.gateway"), Some("192.0.2.1"));
    assert_eq!(reading.get("occi.networkinterface.allocation"), Some("static"));
    for wrong in [
        "occi.networkinterface.address=\"192.0.2.300\"",
        "occi.networkinterface.allocation=\"maybe\"",
    ] {
        link.update(&[&format!("X-OCCI-Attribute: {wrong}")]).is(400);
    }
    // What is left out is filled in.
    let plain = site.link("networkinterface", &compute, &network, &[&mixin(IPNETWORKINTERFACE)]);
    plain.wait("active");
    let reading = plain.read();
    assert!(reading.get("occi.networkinterface.address").is_some());
    assert!(reading.get("occi.networkinterface.allocation").is_some());
}

fn infra_18_a_volume_is_attached_under_a_name(site: &Site) {
    let (one, two, compute) = (site.storage(&[]), site.storage(&[]), site.running(&[]));
    let wish = "X-OCCI-Attribute: occi.storagelink.deviceid=\"/dev/vdf\", occi.storagelink.mountpoint=\"/data\"";
    let named = site.link("storagelink", &compute, &one, &[wish]);
    named.wait("active");
    assert_eq!(named.get("occi.storagelink.deviceid").as_deref(), Some("/dev/vdf"));
    assert_eq!(named.get("occi.storagelink.mountpoint").as_deref(), Some("/data"));
    let plain = site.link("storagelink", &compute, &two, &[]);
    plain.wait("active");
    let device = plain.get("occi.storagelink.deviceid").unwrap_or_default();
    assert!(!device.is_empty() && device != "/dev/vdf", "{device:?}");
    named
        .update(&["X-OCCI-Attribute: occi.storagelink.mountpoint=\"/srv\""])
        .is(200);
    assert_eq!(named.get("occi.storagelink.mountpoint").as_deref(), Some("/srv"));
}

fn infra_19_links_follow_their_ends(site: &Site) {
    let (network, storage, compute) = (site.network(&[]), site.storage(&[]), site.running(&[]));
    let interface = site.link("networkinterface", &compute, &network, &[]);
    let volume = site.link("storagelink", &compute, &storage, &[]);
    interface.wait("active");
    volume.wait("active");
    compute.act("stop", &[]).is(200);
    interface.wait("inactive");
    volume.wait("inactive");
    compute.act("start", &[]).is(200);
    interface.wait("active");
    volume.wait("active");
    network.act("down", &[]).is(200);
    interface.wait("inactive");
    network.act("up", &[]).is(200);
    interface.wait("active");
}

fn infra_20_infra_21_templates_are_there_and_one_is_the_default(site: &Site) {
    let model = site.model();
    for parent in [OS_TPL, RESOURCE_TPL] {
        assert_eq!(
            model
                .category(parent)
                .map(|parent| parent.class().to_owned())
                .as_deref(),
            Some("mixin")
        );
        assert_eq!(
            model
                .category(parent)
                .and_then(|parent| parent.get("rel").map(str::to_owned)),
            None
        );
        assert!(!site.templates(parent).is_empty(), "nothing depends on {parent}");
    }
    let systems: Vec<_> = site.templates(OS_TPL).iter().map(|template| template.id()).collect();
    assert!(
        systems.iter().all(|id| !id.starts_with("http://schemas.ogf.org/")),
        "{systems:?}"
    );
    let compute = site.running(&[]);
    let reading = compute.read();
    assert!(
        reading
            .categories
            .iter()
            .any(|category| systems.contains(&category.id())),
        "no OS template"
    );
    assert!(reading.get("occi.compute.cores").is_some() && reading.get("occi.compute.memory").is_some());
}

fn infra_22_infra_44_a_new_size_replaces_the_old(site: &Site) {
    let size = |term: &str| mixin(&format!("{PROFILE}{term}"));
    let compute = site.running(&[&size("small")]);
    compute.act("stop", &[]).is(200);
    compute.wait("inactive");
    compute.update(&[&size("medium")]).is(200);
    compute.wait_for("two cores", |reading| reading.get("occi.compute.cores") == Some("2"));
    let reading = compute.read();
    assert!(reading.has_category(&format!("{PROFILE}medium")));
    assert!(!reading.has_category(&format!("{PROFILE}small")));
    assert_eq!(reading.get("occi.compute.memory"), Some("2.0"));
    assert_eq!(reading.get("occi.compute.ephemeral_storage.size"), Some("20.0"));
    let left = site.collection(&format!("{PROFILE}small"));
    assert!(!site.list(&left).contains(&compute.url));
}

fn infra_23_a_new_system_replaces_the_old_or_is_refused(site: &Site) {
    let systems = site.templates(OS_TPL);
    let [one, two, ..] = systems.as_slice() else {
        skip("the server offers only one OS template");
    };
    let compute = site.running(&[&mixin(&one.id())]);
    compute.act("stop", &[]).is(200);
    compute.wait("inactive");
    let answer = compute.update(&[&mixin(&two.id())]).among(&[200, 400, 409, 501]);
    let (now, before) = if answer.status == 200 { (two, one) } else { (one, two) };
    let reading = compute.read();
    assert!(reading.has_category(&now.id()) && !reading.has_category(&before.id()));
}

fn infra_25_infra_43_a_key_is_kept(site: &Site) {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tL ann@example.org";
    let line = format!("X-OCCI-Attribute: occi.credentials.ssh.publickey=\"{key}\"");
    let compute = site.compute(&[&mixin(SSH_KEY), &line]);
    let reading = compute.read();
    assert!(reading.has_category(SSH_KEY));
    assert_eq!(reading.get("occi.credentials.ssh.publickey"), Some(key));
    let definitions = site.category(SSH_KEY).definitions();
    assert_eq!(
        definitions,
        [("occi.credentials.ssh.publickey".to_owned(), "required".to_owned())]
    );
    let listed = site.list(&site.collection(SSH_KEY));
    assert!(listed.contains(&compute.url));
}

fn infra_27_infra_28_keys_and_data_are_known_by_their_other_names(site: &Site) {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tL bob@example.org";
    let ooi = site.compute(&[
        &mixin(SSH_KEY),
        &mixin(USER_DATA),
        &format!("X-OCCI-Attribute: occi.credentials.ssh_key=\"{key}\", occi.compute.user_data=\"IyEvYmluL3NoCg==\""),
    ]);
    let reading = ooi.read();
    assert_eq!(reading.get("occi.credentials.ssh.publickey"), Some(key));
    assert_eq!(reading.get("occi.compute.userdata"), Some("IyEvYmluL3NoCg=="));
    let openstack = site.compute(&[
        &mixin(OPENSTACK_PUBLIC_KEY),
        &mixin("http://schemas.openstack.org/compute/instance#user_data"),
        &format!("X-OCCI-Attribute: org.openstack.credentials.publickey.data=\"{key}\""),
        "X-OCCI-Attribute: org.openstack.compute.user_data=\"IyEvYmluL3NoCg==\"",
    ]);
    let reading = openstack.read();
    assert!(reading.has_category(OPENSTACK_PUBLIC_KEY));
    assert_eq!(reading.get("org.openstack.credentials.publickey.data"), Some(key));
    assert_eq!(reading.get("org.openstack.compute.user_data"), Some("IyEvYmluL3NoCg=="));
}

fn infra_28_the_twins_do_not_mix(site: &Site) {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tL eve@example.org";
    site.post("/compute/")
        .text(&[
            &kind("compute"),
            &mixin(SSH_KEY),
            &mixin(OPENSTACK_PUBLIC_KEY),
            &format!("X-OCCI-Attribute: occi.credentials.ssh.publickey=\"{key}\""),
            &format!("X-OCCI-Attribute: org.openstack.credentials.publickey.data=\"{key}\""),
        ])
        .send()
        .is(409);
}

fn infra_29_infra_31_the_profile_has_its_sizes(site: &Site) {
    let model = site.json_model();
    let server = site
        .get("/-/")
        .send()
        .is(200)
        .header("server")
        .unwrap_or_default()
        .to_owned();
    let mut all = true;
    for (term, cores, memory, disk, must) in [
        ("small", 1, 1.0, 10.0, true),
        ("medium", 2, 2.0, 20.0, true),
        ("large", 4, 4.0, 40.0, true),
        ("mem_small", 1, 4.0, 10.0, false),
        ("mem_medium", 2, 8.0, 20.0, false),
        ("mem_large", 4, 16.0, 40.0, false),
    ] {
        let found = members(&model, "mixins")
            .into_iter()
            .find(|mixin| id_of(mixin) == format!("{PROFILE}{term}"));
        let Some(size) = found else {
            assert!(!must, "no {term}");
            all = false;
            continue;
        };
        let default = |name: &str| size["attributes"][name]["default"].as_f64();
        assert_eq!(default("occi.compute.cores"), Some(f64::from(cores)), "{term}");
        assert_eq!(default("occi.compute.memory"), Some(memory), "{term}");
        assert_eq!(default("occi.compute.ephemeral_storage.size"), Some(disk), "{term}");
        assert_eq!(
            size["attributes"]["occi.compute.ephemeral_storage.size"]["mutable"], false,
            "{term}"
        );
        assert_eq!(strings(&size["depends"]), [RESOURCE_TPL]);
        assert_eq!(strings(&size["actions"]), Vec::<String>::new());
    }
    assert_eq!(server.contains("OCCI-CRTP-EP/1.1"), all, "{server}");
    let small = mixin(&format!("{PROFILE}small"));
    let compute = site.compute(&[&small]);
    compute
        .update(&["X-OCCI-Attribute: occi.compute.ephemeral_storage.size=11"])
        .is(403);
    compute
        .update(&["X-OCCI-Attribute: occi.compute.ephemeral_storage.size=10"])
        .is(200);
    assert_eq!(
        compute.get("occi.compute.ephemeral_storage.size").as_deref(),
        Some("10.0")
    );
}

fn infra_30_a_compute_has_one_size(site: &Site) {
    let size = |term: &str| mixin(&format!("{PROFILE}{term}"));
    site.post("/compute/")
        .text(&[&kind("compute"), &size("small"), &size("large")])
        .send()
        .is(409);
    let compute = site.compute(&[&size("small")]);
    compute.update(&[&size("medium"), &size("large")]).is(409);
    let reading = compute.read();
    let sizes = reading
        .categories
        .iter()
        .filter(|category| category.id().starts_with(PROFILE));
    assert_eq!(sizes.count(), 1);
}

fn infra_32_the_kinds_in_production_are_there(site: &Site) {
    site.needs_kind("ipreservation");
    site.needs_kind("securitygroup");
    let model = site.json_model();
    let kind_of = |term: &str| {
        let found = members(&model, "kinds")
            .into_iter()
            .find(|kind| id_of(kind) == format!("{INFRA}{term}"));
        found.unwrap_or_else(|| panic!("no {term}"))
    };
    assert_eq!(kind_of("ipreservation")["parent"], format!("{INFRA}network"));
    assert_eq!(
        kind_of("securitygroup")["parent"],
        "http://schemas.ogf.org/occi/core#resource"
    );
    assert_eq!(
        kind_of("securitygrouplink")["parent"],
        "http://schemas.ogf.org/occi/core#link"
    );
    assert_eq!(
        kind_of("securitygroup")["attributes"]["occi.securitygroup.rules"]["type"],
        "array"
    );
    for id in [
        format!("{INFRA}availability_zone"),
        format!("{INFRA}region"),
        "http://schemas.openstack.org/network#floatingippool".to_owned(),
    ] {
        assert!(
            members(&model, "mixins").iter().any(|mixin| id_of(mixin) == id),
            "no {id}"
        );
    }
    let reservation = site.create("/ipreservation/", &[&kind("ipreservation")]);
    let reading = reservation.read();
    assert!(reading.get("occi.ipreservation.state").is_some());
    assert!(reading.get("occi.ipreservation.used").is_some());
}

fn infra_33_the_rules_of_a_group_are_checked(site: &Site) {
    site.needs_kind("securitygroup");
    let group = |rules: Value| {
        let entity =
            json!({ "kind": format!("{INFRA}securitygroup"), "attributes": { "occi.securitygroup.rules": rules } });
        site.post("/securitygroup/").accept("text/plain").json(&entity).send()
    };
    for wrong in [
        json!([{ "protocol": "gre", "type": "inbound" }]),
        json!([{ "protocol": "tcp", "type": "sideways" }]),
        json!([{ "type": "inbound" }]),
        json!([{ "protocol": "tcp" }]),
        json!([{ "protocol": "tcp", "type": "inbound", "port": "http" }]),
        json!([{ "protocol": "tcp", "type": "inbound", "range": "everywhere" }]),
        json!(["tcp"]),
        json!({ "protocol": "tcp", "type": "inbound" }),
    ] {
        group(wrong).is(400);
    }
    let right = json!([
        { "protocol": "tcp", "type": "inbound", "port": "22", "range": "192.0.2.0/24" },
        { "protocol": "udp", "type": "outbound", "port": "8000-8100" },
        { "protocol": "icmp", "type": "inbound", "range": "2001:db8::/32" },
    ]);
    let made = Thing::new(site, group(right.clone()).is(201).location());
    assert_eq!(made.json()["attributes"]["occi.securitygroup.rules"], right);
}

fn infra_34_what_is_in_use_stays(site: &Site) {
    let (network, storage, compute) = (site.network(&[]), site.storage(&[]), site.compute(&[]));
    let interface = site.link("networkinterface", &compute, &network, &[]);
    let volume = site.link("storagelink", &compute, &storage, &[]);
    network.remove().is(409);
    storage.remove().is(409);
    network.read();
    volume.remove().is(200);
    storage.remove_when_free();
    interface.remove().is(200);
    network.remove_when_free();
}

fn infra_36_a_hostname_may_be_anything(site: &Site) {
    for name in ["foo 7a bar", "größe", "a_b", "-", &"x".repeat(200)] {
        let compute = site.compute(&[&format!("X-OCCI-Attribute: occi.compute.hostname=\"{name}\"")]);
        assert_eq!(compute.get("occi.compute.hostname").as_deref(), Some(name));
    }
}

fn infra_38_what_is_made_comes_up_by_itself(site: &Site) {
    for (term, before, after) in [
        ("compute", "inactive", "active"),
        ("network", "inactive", "active"),
        ("storage", "offline", "online"),
    ] {
        let size = if term == "storage" {
            "X-OCCI-Attribute: occi.storage.size=1"
        } else {
            "X-OCCI-Attribute: occi.core.title=\"up\""
        };
        let made = site.create(&format!("/{term}/"), &[&kind(term), size]);
        let reading = made.read();
        let state = reading
            .get(&format!("occi.{term}.state"))
            .unwrap_or_default()
            .to_owned();
        assert!(state == before || state == after, "{term}: {state}");
        if state == before {
            assert!(
                reading.get(&format!("occi.{term}.state.message")).is_some(),
                "{term} does not say what it does"
            );
        }
        made.wait(after);
    }
}

fn infra_39_a_first_start_is_welcome(site: &Site) {
    for (term, first) in [("compute", "start"), ("storage", "online"), ("network", "up")] {
        for wait in [false, true] {
            let size = if term == "storage" {
                "X-OCCI-Attribute: occi.storage.size=1"
            } else {
                "X-OCCI-Attribute: occi.core.title=\"up\""
            };
            let made = site.create(&format!("/{term}/"), &[&kind(term), size]);
            let up = if term == "storage" { "online" } else { "active" };
            if wait {
                made.wait(up);
            }
            made.act(first, &[]).is(200);
            made.wait(up);
            made.act(first, &[]).is(409);
        }
    }
}

fn infra_40_a_deletion_is_taken_while_it_comes_up(site: &Site) {
    let busy = site.compute(&[]);
    busy.remove().is(200);
    site.get(&busy.url).send().is(404);
}

fn infra_45_core_10_a_compute_of_the_profile_shows_its_disk(site: &Site) {
    let compute = site.running(&[&mixin(&format!("{PROFILE}small"))]);
    let reading = compute.read();
    assert_eq!(
        reading.literal("occi.compute.ephemeral_storage.size"),
        Some(&Literal::Bare("10.0".to_owned()))
    );
    assert!(
        reading
            .get("occi.compute.ephemeral_storage.deviceid")
            .is_some_and(|device| !device.is_empty())
    );
}

/// By the line that the server shows for it: `ssh -p PORT USER@HOST`.
fn infra_42_the_key_logs_in(site: &Site) {
    site.needs_real_machines();
    let key = std::env::temp_dir().join(unique("key"));
    let run = |program: &str, arguments: &[&str]| {
        let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        ran.unwrap_or_else(|error| skip(format!("{program}: {error}")))
    };
    let path = key.display().to_string();
    let made = run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path]);
    assert!(
        made.status.success(),
        "ssh-keygen: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let public = std::fs::read_to_string(key.with_extension("pub"));
    let _files = Remove([key.clone(), key.with_extension("pub")]);
    let public = public.unwrap_or_else(|error| panic!("{path}.pub: {error}"));
    for (credentials, attribute) in [
        (SSH_KEY, "occi.credentials.ssh.publickey"),
        (OPENSTACK_PUBLIC_KEY, "org.openstack.credentials.publickey.data"),
    ] {
        let given = format!("X-OCCI-Attribute: {attribute}=\"{}\"", public.trim());
        let compute = site.running(&[&mixin(credentials), &given]);
        let begin = Instant::now();
        loop {
            let shown = compute.get("occi.compute.state.message").unwrap_or_default();
            let Some((_, login)) = shown.split_once("ssh -p ") else {
                skip("the server does not say how to log in");
            };
            let login: Vec<_> = login.split_whitespace().take(2).collect();
            let fixed = [
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "ConnectTimeout=10",
            ];
            let fixed = [&fixed[..], &["-o", "UserKnownHostsFile=/dev/null", "-i", &path, "-p"]].concat();
            let ran = run("ssh", &[&fixed[..], &login, &["echo", "inside"]].concat());
            if ran.stdout == b"inside\n" {
                break;
            }
            let problem = String::from_utf8_lossy(&ran.stderr);
            assert!(begin.elapsed() < site.patience, "{credentials}: {login:?}: {problem}");
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// Removes files when it goes.
struct Remove([PathBuf; 2]);

impl Drop for Remove {
    fn drop(&mut self) {
        for file in &self.0 {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Data that turns the machine off shows from outside that it ran.
fn infra_41_user_data_runs_in_the_machine(site: &Site) {
    site.needs_real_machines();
    let script = "#!/bin/sh\npoweroff -f\n";
    let cloud_config = "#cloud-config\nruncmd:\n  - poweroff -f\n";
    let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    for data in [
        script.to_owned(),
        encode(script),
        cloud_config.to_owned(),
        encode(cloud_config),
    ] {
        let entity = json!({
            "kind": format!("{INFRA}compute"),
            "mixins": [USER_DATA],
            "attributes": { "occi.compute.userdata": data },
        });
        let answer = site.post("/compute/").accept("text/plain").json(&entity).send().is(201);
        let compute = Thing::new(site, answer.location());
        compute.wait("active");
        compute.wait("inactive");
    }
}
