//! Infrastructure Manager (IM) 1.8 and its OCCI connector, on python-requests.
//!
//! It asks HEAD without credentials first, reads lines by searching for their beginning and splitting at `;` and `=`,
//! takes the id of a volume from behind the last `/` of the whole body, and puts a `/` before paths that have one.

use crate::answer::Answer;
use crate::site::{INFRA, Site, unique};
use crate::suite::{cases, skip};
use crate::thing::Thing;

cases!(Im:
    http_60_http_65_im_asks_who_it_must_be,
    text_35_http_82_infra_28_infra_38_im_launches_and_finishes,
    http_31_infra_5_im_stops_by_suspending,
);

fn headers<'a>(site: &'a Site, method: &str, to: &str) -> crate::site::Ask<'a> {
    site.ask(method, to)
        .agent("python-requests/2.18.4")
        .accept("text/plain")
}

fn post<'a>(site: &'a Site, to: &str, body: &str) -> crate::site::Ask<'a> {
    headers(site, "POST", to).body("text/plain,text/occi", body)
}

/// The value of the first line that names the attribute.
fn attribute(answer: &Answer, name: &str) -> Option<String> {
    let prefix = format!("X-OCCI-Attribute: {name}=");
    let line = answer.text().split('\n').find(|line| line.contains(&prefix))?;
    Some(line.split('=').nth(1)?.trim_matches('"').to_owned())
}

/// A property of the category whose line begins so.
fn property(model: &Answer, term: &str, name: &str) -> String {
    let start = format!("Category: {term};");
    let lines = model.text().split('\n').filter(|line| line.contains(&start));
    let found = lines.flat_map(|line| line.split(';')).find_map(|part| {
        let pair: Vec<_> = part.split('=').collect();
        let [key, value] = pair.as_slice() else { return None };
        (key.trim() == name).then(|| value.trim_matches('"').to_owned())
    });
    found.unwrap_or_else(|| panic!("{term} has no {name}"))
}

/// What stands behind the last slash.
fn basename(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or_default()
}

fn http_60_http_65_im_asks_who_it_must_be(site: &Site) {
    if site.login().is_none() {
        skip("needs a login: run with --user and --password-file");
    }
    let answer = headers(&site.stranger(), "HEAD", "/-/").send();
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    // Without a Keystone it goes on with Basic, whatever the challenge is.
    assert!(
        answer.status == 401 && !challenge.starts_with("Keystone"),
        "{} {challenge}",
        answer.status
    );
    headers(site, "GET", "/-/").send().is(200);
}

fn text_35_http_82_infra_28_infra_38_im_launches_and_finishes(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let model = headers(site, "GET", "/-/").send().is(200);
    // The scheme of an image: the first line that begins with its term and names os_tpl.
    let image = site.templates(&format!("{INFRA}os_tpl")).into_iter().next();
    let image = image.unwrap_or_else(|| panic!("no OS template")).term;
    let start = format!("Category: {image}");
    let line = model
        .text()
        .split('\n')
        .find(|line| line.contains(&start) && line.contains("os_tpl"));
    let scheme = line
        .unwrap_or_default()
        .split(';')
        .find_map(|part| part.trim().strip_prefix("scheme="));
    let scheme = scheme
        .unwrap_or_else(|| panic!("no scheme of {image}"))
        .replace('"', "");

    let volume = post(
        site,
        "/storage/",
        &format!(
            "Category: storage; scheme=\"{INFRA}\"; class=\"kind\"\nX-OCCI-Attribute: occi.core.id=\"{}\"\n\
             X-OCCI-Attribute: occi.core.title=\"{}\"\nX-OCCI-Attribute: occi.storage.size=1\n",
            unique("im-vol"),
            unique("im-disk")
        ),
    );
    let volume = volume.send().among(&[200, 201]);
    let volume_id = basename(volume.text()).to_owned();
    let storage = Thing::new(site, site.url(&format!("/storage/{volume_id}")));
    storage.wait_for("online", |reading| reading.get("occi.storage.state") == Some("online"));
    let answer = headers(site, "GET", &storage.url).send().is(200);
    assert_eq!(attribute(&answer, "occi.storage.state").as_deref(), Some("online"));

    let (base, compute_id) = (&site.base, unique("im"));
    let body = format!(
        "Category: compute; scheme=\"{INFRA}\"; class=\"kind\"\n\
         Category: {image}; scheme=\"{scheme}\"; class=\"mixin\"\n\
         Category: user_data; scheme=\"http://schemas.openstack.org/compute/instance#\"; class=\"mixin\"\n\
         Category: public_key; scheme=\"http://schemas.openstack.org/instance/credentials#\"; class=\"mixin\"\n\
         X-OCCI-Attribute: occi.compute.cores=1\n\
         X-OCCI-Attribute: occi.compute.memory=1\n\
         X-OCCI-Attribute: occi.core.id=\"{compute_id}\"\n\
         X-OCCI-Attribute: occi.core.title=\"im_userimage\"\n\
         X-OCCI-Attribute: occi.compute.hostname=\"vnode-0.localdomain\"\n\
         X-OCCI-Attribute: org.openstack.compute.user_data=\"I2Nsb3VkLWNvbmZpZwo=\"\n\
         X-OCCI-Attribute: org.openstack.credentials.publickey.data=\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEtLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tL im\"\n\
         Link: <{base}/storage/{volume_id}>; rel=\"{INFRA}storage\"; category=\"{INFRA}storagelink\"; \
         occi.core.target=\"{base}/storage/{volume_id}\"; occi.core.source=\"{base}/compute/{compute_id}\"; \
         occi.core.id=\"{}\";occi.storagelink.deviceid=\"/dev/vdb\"\n\n",
        unique("im")
    );
    let answer = post(site, "/compute/", &body).send().among(&[200, 201]);
    let id = basename(answer.header("location").unwrap_or_else(|| answer.text())).to_owned();
    let compute = Thing::new(site, site.url(&format!("/compute/{id}")));
    // inactive is pending for it until the machine has been active once.
    compute.wait("active");
    let seen = headers(site, "GET", &format!("/compute/{id}")).send().is(200);
    let number = |name: &str| attribute(&seen, name).and_then(|value| value.parse::<f64>().ok());
    assert!(
        number("occi.compute.memory").is_some_and(|memory| memory < 128.0),
        "memory is not in GiB"
    );
    assert_eq!(
        attribute(&seen, "occi.compute.cores").and_then(|cores| cores.parse::<u32>().ok()),
        Some(1)
    );

    // Its volumes, from lines split at `;` and `=`.
    let line = seen
        .text()
        .split('\n')
        .find(|line| line.contains("Link:") && line.contains("/storage/"));
    let part = |name: &str| {
        let parts = line.unwrap_or_default().split(';');
        let found = parts
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| key.trim() == name);
        found
            .unwrap_or_else(|| panic!("{line:?} has no {name}"))
            .1
            .trim_matches('"')
            .to_owned()
    };
    assert_eq!(part("occi.core.target"), storage.path());
    assert_eq!(part("occi.storagelink.deviceid"), "/dev/vdb");
    // Its addresses: the interface has a number in its name.
    let line = seen
        .text()
        .split('\n')
        .find(|line| line.contains("Link:") && line.contains("/network/"));
    if let Some(line) = line {
        let interface = line
            .split(';')
            .find_map(|part| part.trim().strip_prefix("occi.networkinterface.interface="));
        assert!(
            interface.is_some_and(|name| name.contains(|c: char| c.is_ascii_digit())),
            "{line:?}"
        );
    }
    let link = format!("{base}/{}", part("self"));

    // For want of a public address it links to a network: that of the only line, or of any, an empty one too.
    let inner = site.network(&[]);
    let networks = headers(site, "GET", "/network/").send().is(200);
    let lines: Vec<_> = networks.text().split('\n').collect();
    assert!(
        lines.iter().all(|line| line.starts_with("X-OCCI-Location: ")),
        "{lines:?}"
    );
    let body = format!(
        "Category: networkinterface;scheme=\"{INFRA}\";class=\"kind\"\nX-OCCI-Attribute: occi.core.id=\"imnet.1\"\n\
         X-OCCI-Attribute: occi.core.target=\"{base}/network/{}\"\nX-OCCI-Attribute: occi.core.source=\"{base}/compute/{id}\"",
        inner.id()
    );
    let interface = post(site, &property(&model, "networkinterface", "location"), &body);
    site.delete(&interface.send().among(&[200, 201]).location())
        .send()
        .is(200);

    // A second volume, at the advertised location of links, without a newline at the end.
    let at = property(&model, "storagelink", "location");
    let second = site.storage(&[]);
    let body = format!(
        "Category: storagelink;scheme=\"{INFRA}\";class=\"kind\"\nX-OCCI-Attribute: occi.core.id=\"imdisk.1\"\n\
         X-OCCI-Attribute: occi.core.target=\"{base}/storage/{}\"\nX-OCCI-Attribute: occi.core.source=\"{base}/compute/{id}\"",
        second.id()
    );
    let attached = post(site, &at, &body).send().among(&[200, 201]);
    site.delete(&attached.location()).send().is(200);

    // The end: links, then the machine, then the volumes; 404 is as good as gone.
    headers(site, "GET", &link).send().is(200);
    headers(site, "DELETE", &link).send().among(&[200, 204]);
    headers(site, "GET", &link).send().is(404);
    headers(site, "DELETE", &format!("/compute/{id}"))
        .send()
        .among(&[200, 204, 404]);
    headers(site, "DELETE", &format!("/storage/{volume_id}"))
        .send()
        .among(&[200, 204, 404]);
    headers(site, "GET", &format!("/storage/{volume_id}")).send().is(404);
}

fn http_31_infra_5_im_stops_by_suspending(site: &Site) {
    let own = site.own_project();
    let site = &own.site;
    let compute = site.running(&[]);
    let act = |term: &str| {
        let body = format!(
            "Category: {term};scheme=\"http://schemas.ogf.org/occi/infrastructure/compute/action#\";class=\"action\"\n"
        );
        post(site, &format!("/compute/{}?action={term}", compute.id()), &body)
            .send()
            .among(&[200, 204]);
    };
    for (term, state) in [("suspend", "suspended"), ("start", "active"), ("restart", "active")] {
        act(term);
        compute.wait(state);
    }
}
