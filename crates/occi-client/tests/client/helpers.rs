//! Machines, networks and volumes by the names of what they have, for servers that offer different things.

use crate::common::{COMPUTE, model, query_interface, wire};
use occi_client::infrastructure::{Compute, Network, NetworkInterface, Storage, StorageLink, public_key};
use occi_client::{Dialect, EntityDraft, ErrorKind, MediaType, Model, Requests, Write};
use occi_rendering::Base;
use occi_rendering::response::{self, Answer};

/// A server that offers these categories.
fn offering(categories: &str) -> Model {
    let base = Base::new("http://cloud.example.org", "");
    let answer = Answer {
        status: 200,
        fields: &[("content-type", b"text/plain")],
        body: categories.as_bytes(),
        base: &base,
    };
    response::model(&answer).unwrap().into()
}

/// All documents and a few templates of a provider.
fn full() -> Model {
    let base = Base::new("http://cloud.example.org", "");
    let documents = String::from_utf8(query_interface(MediaType::TextPlain, &base)).unwrap();
    let os = |term: &str, title: &str| {
        format!(
            "Category: {term}; scheme=\"http://cloud.example.org/occi/infrastructure/os_tpl#\"; class=\"mixin\"; title=\"{title}\"; \
             rel=\"http://schemas.ogf.org/occi/infrastructure#os_tpl\"; location=\"/mixin/os_tpl/{term}/\"\n"
        )
    };
    offering(&format!(
        "{documents}{}{}{}",
        os("uuid_123", "Debian 12"),
        os("uuid_124", "Debian 13"),
        os("uuid_125", "debian 13")
    ))
}

const COMPUTE_ONLY: &str = "Category: compute; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"; location=\"/compute/\"\n";
const OPENSTACK: &str = "Category: public_key; scheme=\"http://schemas.openstack.org/instance/credentials#\"; class=\"mixin\"; location=\"/public_key/\"; attributes=\"org.openstack.credentials.publickey.name org.openstack.credentials.publickey.data\"
Category: user_data; scheme=\"http://schemas.openstack.org/compute/instance#\"; class=\"mixin\"; location=\"/user_data/\"; attributes=\"org.openstack.compute.user_data\"
";
const OOI: &str = "Category: ssh_key; scheme=\"http://schemas.ogf.org/occi/infrastructure/credentials#\"; class=\"mixin\"; location=\"/ssh_key/\"; attributes=\"occi.crendentials.ssh.publickey\"
Category: user_data; scheme=\"http://schemas.ogf.org/occi/infrastructure/compute#\"; class=\"mixin\"; location=\"/user_data/\"; attributes=\"occi.compute.user_data\"
";

fn written(draft: &EntityDraft, model: &Model) -> String {
    let requests = Requests {
        endpoint: &"http://cloud.example.org/".parse().unwrap(),
        dialect: &Dialect::default(),
        model,
    };
    let text = wire(&requests.create(draft, &Write::default()).unwrap());
    text.split_once("\n\n").unwrap().1.to_owned()
}

#[test]
fn a_machine_has_a_template_a_size_a_key_and_links() {
    let model = full();
    let machine = Compute {
        title: Some("web1".to_owned()),
        os: Some("Debian 12".to_owned()),
        size: Some("small".to_owned()),
        cores: Some(4),
        memory_gib: Some(7.5),
        hostname: Some("web1.example.org".to_owned()),
        ssh_key: Some("ssh-ed25519 AAAAC3Nza ann@example.org\n".to_owned()),
        user_data: Some(b"#cloud-config\npackages: [nginx]\n".to_vec()),
        interfaces: vec![NetworkInterface {
            network: "/network/lan".to_owned(),
            address: Some("10.0.0.7".to_owned()),
            ..NetworkInterface::default()
        }],
        volumes: vec![StorageLink {
            storage: "/storage/data".to_owned(),
            device: Some("/dev/vdb".to_owned()),
            ..StorageLink::default()
        }],
        ..Compute::default()
    };
    assert_eq!(
        written(&machine.draft(&model).unwrap(), &model),
        r#"Category: compute; scheme="http://schemas.ogf.org/occi/infrastructure#"; class="kind"
Category: uuid_123; scheme="http://cloud.example.org/occi/infrastructure/os_tpl#"; class="mixin"
Category: small; scheme="http://schemas.ogf.org/occi/infrastructure/compute/template/1.1#"; class="mixin"
Category: ssh_key; scheme="http://schemas.ogf.org/occi/infrastructure/credentials#"; class="mixin"
Category: user_data; scheme="http://schemas.ogf.org/occi/infrastructure/compute#"; class="mixin"
X-OCCI-Attribute: occi.core.title="web1"
X-OCCI-Attribute: occi.compute.cores=4
X-OCCI-Attribute: occi.compute.memory=7.5
X-OCCI-Attribute: occi.compute.hostname="web1.example.org"
X-OCCI-Attribute: occi.credentials.ssh.publickey="ssh-ed25519 AAAAC3Nza ann@example.org"
X-OCCI-Attribute: occi.compute.userdata="I2Nsb3VkLWNvbmZpZwpwYWNrYWdlczogW25naW54XQo="
Link: </network/lan>; rel="http://schemas.ogf.org/occi/infrastructure#network"; category="http://schemas.ogf.org/occi/infrastructure#networkinterface http://schemas.ogf.org/occi/infrastructure/networkinterface#ipnetworkinterface"; occi.core.target="/network/lan"; occi.networkinterface.address="10.0.0.7"
Link: </storage/data>; rel="http://schemas.ogf.org/occi/infrastructure#storage"; category="http://schemas.ogf.org/occi/infrastructure#storagelink"; occi.core.target="/storage/data"; occi.storagelink.deviceid="/dev/vdb"
"#
    );
}

#[test]
fn keys_go_by_what_the_server_offers() {
    let machine = Compute {
        ssh_key: Some("ssh-ed25519 AAAAC3Nza ann@example.org".to_owned()),
        user_data: Some(b"x".to_vec()),
        ..Compute::default()
    };
    for (offer, expected) in [
        (
            OPENSTACK,
            r#"X-OCCI-Attribute: org.openstack.credentials.publickey.name="ann@example.org"
X-OCCI-Attribute: org.openstack.credentials.publickey.data="ssh-ed25519 AAAAC3Nza ann@example.org"
X-OCCI-Attribute: org.openstack.compute.user_data="eA=="
"#,
        ),
        (
            OOI,
            r#"X-OCCI-Attribute: occi.credentials.ssh_key="ssh-ed25519 AAAAC3Nza ann@example.org"
X-OCCI-Attribute: occi.compute.user_data="eA=="
"#,
        ),
    ] {
        let model = offering(&format!("{COMPUTE_ONLY}{offer}"));
        let written = written(&machine.draft(&model).unwrap(), &model);
        assert!(written.ends_with(expected), "{written}");
    }
    let error = machine.draft(&offering(COMPUTE_ONLY)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// What ssh-keygen writes beside the public key is for nobody else.
#[test]
fn a_private_key_is_never_sent() {
    let models = [
        full(),
        offering(&format!("{COMPUTE_ONLY}{OPENSTACK}")),
        offering(COMPUTE_ONLY),
    ];
    for key in [
        "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cret\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY----- s3cret",
        "ssh-ed25519 s3cret BEGIN PRIVATE KEY",
        "PuTTY-User-Key-File-3: ssh-ed25519\ns3cret",
        "ssh-ed25519 s3cret ann@example.org\nssh-ed25519 s3cret bob@example.org",
        "---- BEGIN SSH2 PUBLIC KEY ---- s3cret",
        "ssh-ed25519",
        "s3cret",
        "",
    ] {
        let machine = Compute {
            ssh_key: Some(key.to_owned()),
            ..Compute::default()
        };
        for model in &models {
            let error = machine.draft(model).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{key}");
            assert!(error.hint().is_some_and(|hint| hint.contains(".pub")), "{key}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
    for key in [
        "ssh-rsa AAAA",
        "ecdsa-sha2-nistp256 AAAA ann",
        " sk-ssh-ed25519@openssh.com AAAA\n",
    ] {
        assert_eq!(public_key(key).unwrap(), key.trim());
    }
}

#[test]
fn templates_that_are_not_there_or_several_are_told() {
    let model = full();
    let booting = |os: &str| Compute {
        os: Some(os.to_owned()),
        ..Compute::default()
    };
    // Exactly, before in any case.
    assert_eq!(booting("Debian 13").draft(&model).unwrap().mixins[0].term(), "uuid_124");
    assert_eq!(booting("UUID_123").draft(&model).unwrap().mixins[0].term(), "uuid_123");
    let several = booting("DEBIAN 13").draft(&model).unwrap_err();
    assert_eq!((several.kind(), several.candidates().len()), (ErrorKind::Ambiguous, 2));
    let missing = booting("plan9").draft(&model).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.hint().unwrap().contains("uuid_123"), "{missing:?}");
}

#[test]
fn networks_volumes_and_links_of_their_own() {
    let model = model(MediaType::TextPlain);
    let network = Network {
        title: Some("lan".to_owned()),
        vlan: Some(7),
        address: Some("10.1.0.0/24".to_owned()),
        allocation: Some("dynamic".to_owned()),
        ..Network::default()
    };
    assert_eq!(
        written(&network.draft(&model).unwrap(), &model),
        r#"Category: network; scheme="http://schemas.ogf.org/occi/infrastructure#"; class="kind"
Category: ipnetwork; scheme="http://schemas.ogf.org/occi/infrastructure/network#"; class="mixin"
X-OCCI-Attribute: occi.core.title="lan"
X-OCCI-Attribute: occi.network.vlan=7
X-OCCI-Attribute: occi.network.address="10.1.0.0/24"
X-OCCI-Attribute: occi.network.allocation="dynamic"
"#
    );
    let volume = Storage {
        size_gib: 10.0,
        ..Storage::default()
    };
    assert_eq!(
        written(&volume.draft(&model).unwrap(), &model),
        "Category: storage; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
         X-OCCI-Attribute: occi.storage.size=10.0\n"
    );
    let link = StorageLink {
        storage: "http://cloud.example.org/storage/data".to_owned(),
        ..StorageLink::default()
    };
    assert_eq!(
        written(&link.draft(&model, Some("/compute/1")).unwrap(), &model),
        "Category: storagelink; scheme=\"http://schemas.ogf.org/occi/infrastructure#\"; class=\"kind\"\n\
         X-OCCI-Attribute: occi.core.source=\"/compute/1\"\nX-OCCI-Attribute: occi.core.target=\"/storage/data\"\n"
    );
    let error = network.draft(&offering(COMPUTE_ONLY)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(model.kind(COMPUTE).is_ok());
}
