//! The fault table: each verb, each recorded step, before and after it, `kill` and `error`.

use crate::campaign::Campaign;
use crate::client::{Answer, Client};
use crate::deed::{CORES, Deed, Kind, action_named};
use crate::journal::{Ref, with_key};
use crate::report::Row;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::time::Duration;

/// How many steps a verb may have.
const STEPS: usize = 12;

/// A write to be disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    CreateStorage,
    CreateNetwork,
    CreateCompute,
    CreateComputeWithLinks,
    CreateTwoComputes,
    CreateStorageLink,
    CreateNetworkInterface,
    UpdateCores,
    /// A change of the compute with a link that comes to grief.
    UpdateWithLink,
    Resize,
    Act(Kind, &'static str),
    StopSeveral,
    DeleteCompute,
    DeleteStorage,
    DeleteNetwork,
    DeleteLink,
    DeleteSeveral,
    /// While its create hangs.
    DeleteDuringCreate,
    /// The same by the operation.
    CancelCreate,
}

const CASES: [Case; 29] = [
    Case::CreateStorage,
    Case::CreateNetwork,
    Case::CreateCompute,
    Case::CreateComputeWithLinks,
    Case::CreateTwoComputes,
    Case::CreateStorageLink,
    Case::CreateNetworkInterface,
    Case::UpdateCores,
    Case::UpdateWithLink,
    Case::Resize,
    Case::Act(Kind::Compute, "stop"),
    Case::Act(Kind::Compute, "start"),
    Case::Act(Kind::Compute, "suspend"),
    Case::Act(Kind::Compute, "restart"),
    Case::Act(Kind::Compute, "save"),
    Case::Act(Kind::Network, "down"),
    Case::Act(Kind::Network, "up"),
    Case::Act(Kind::Storage, "offline"),
    Case::Act(Kind::Storage, "online"),
    Case::Act(Kind::Storage, "snapshot"),
    Case::Act(Kind::Storage, "backup"),
    Case::StopSeveral,
    Case::DeleteCompute,
    Case::DeleteStorage,
    Case::DeleteNetwork,
    Case::DeleteLink,
    Case::DeleteSeveral,
    Case::DeleteDuringCreate,
    Case::CancelCreate,
];

impl Case {
    /// Whether a create that hangs comes first, in the process with the fault.
    fn is_during_create(self) -> bool {
        matches!(self, Self::DeleteDuringCreate | Self::CancelCreate)
    }

    /// The verb of the backend that it ends in.
    fn verb(self) -> &'static str {
        match self {
            Self::CreateStorage
            | Self::CreateNetwork
            | Self::CreateCompute
            | Self::CreateComputeWithLinks
            | Self::CreateTwoComputes
            | Self::CreateStorageLink
            | Self::CreateNetworkInterface
            | Self::UpdateWithLink => "create",
            Self::UpdateCores => "update",
            Self::Resize | Self::Act(..) | Self::StopSeveral => "act",
            Self::DeleteCompute
            | Self::DeleteStorage
            | Self::DeleteNetwork
            | Self::DeleteLink
            | Self::DeleteSeveral
            | Self::DeleteDuringCreate
            | Self::CancelCreate => "delete",
        }
    }

    fn name(self) -> String {
        match self {
            Self::CreateStorage => "create storage".to_owned(),
            Self::CreateNetwork => "create network".to_owned(),
            Self::CreateCompute => "create compute".to_owned(),
            Self::CreateComputeWithLinks => "create compute with links".to_owned(),
            Self::CreateTwoComputes => "create two computes at once".to_owned(),
            Self::CreateStorageLink => "create storagelink".to_owned(),
            Self::CreateNetworkInterface => "create networkinterface".to_owned(),
            Self::UpdateCores => "update compute".to_owned(),
            Self::UpdateWithLink => "update compute with a new link".to_owned(),
            Self::Resize => "storage resize".to_owned(),
            Self::Act(kind, term) => format!("{} {term}", kind.term()),
            Self::StopSeveral => "stop several computes".to_owned(),
            Self::DeleteCompute => "delete compute".to_owned(),
            Self::DeleteStorage => "delete storage".to_owned(),
            Self::DeleteNetwork => "delete network".to_owned(),
            Self::DeleteLink => "delete link".to_owned(),
            Self::DeleteSeveral => "delete several computes".to_owned(),
            Self::DeleteDuringCreate => "delete compute while it is made".to_owned(),
            Self::CancelCreate => "cancel create compute".to_owned(),
        }
    }
}

impl Campaign {
    /// Goes through the table.
    pub(crate) async fn run_table(&mut self) -> Result<()> {
        let only = self.plan.table.clone().unwrap_or_default();
        let cases: Vec<_> = CASES.into_iter().filter(|case| case.name().contains(&only)).collect();
        for (number, case) in cases.iter().copied().enumerate() {
            if !self.has_time() {
                self.report
                    .skipped
                    .insert(format!("faults of {}: no time", case.name()));
                continue;
            }
            let ran = match self.plan.faults {
                None => self.run_case(case).await,
                Some(faults) => {
                    // Spread: each case has its turn at another point.
                    let turns = (0..)
                        .map(|turn| number + turn * cases.len())
                        .take_while(|turn| *turn < faults);
                    self.run_few(case, turns.collect()).await
                }
            };
            ran.with_context(|| case.name())?;
        }
        Ok(())
    }

    /// All points of a case.
    async fn run_case(&mut self, case: Case) -> Result<()> {
        let mut row = Row::new(case.name());
        // The records are counted by killing after each.
        for record in 1..=STEPS {
            match self.disturb_surely(case, &record.to_string(), "kill").await? {
                None => return self.not_supported(case),
                Some(false) => break,
                Some(true) => row.kills.push(record.to_string()),
            }
        }
        let after = row.kills.clone();
        let edges = ["start".to_owned(), "end".to_owned()];
        let others: Vec<_> = edges
            .into_iter()
            .chain(after.iter().map(|record| format!("-{record}")))
            .collect();
        let kills = others.iter().map(|point| (point, "kill"));
        let errors = others.iter().chain(&after).map(|point| (point, "error"));
        for (point, effect) in kills.chain(errors) {
            if !self.has_time() {
                self.report
                    .skipped
                    .insert(format!("some faults of {}: no time", case.name()));
                break;
            }
            if self.disturb_surely(case, point, effect).await? == Some(true) {
                row.reached(point, effect);
            }
        }
        self.report.table.push(row);
        Ok(())
    }

    /// Some points of a case.
    async fn run_few(&mut self, case: Case, turns: Vec<usize>) -> Result<()> {
        const POINTS: [(&str, &str); 7] = [
            ("1", "kill"),
            ("-1", "kill"),
            ("end", "kill"),
            ("1", "error"),
            ("start", "kill"),
            ("-1", "error"),
            ("end", "error"),
        ];
        let mut row = Row::new(case.name());
        for turn in turns {
            let (point, effect) = POINTS[turn % POINTS.len()];
            match self.disturb(case, point, effect).await? {
                None => return self.not_supported(case),
                Some(true) => row.reached(point, effect),
                Some(false) => {}
            }
        }
        self.report.table.push(row);
        Ok(())
    }

    fn not_supported(&mut self, case: Case) -> Result<()> {
        self.report
            .skipped
            .insert(format!("faults of {}: not supported", case.name()));
        Ok(())
    }

    /// The same fault again if it did not come: after a lost answer a verb may find everything done.
    async fn disturb_surely(&mut self, case: Case, point: &str, effect: &str) -> Result<Option<bool>> {
        match self.disturb(case, point, effect).await? {
            Some(false) => self.disturb(case, point, effect).await,
            disturbed => Ok(disturbed),
        }
    }

    /// One fault: prepares, disturbs, looks. `None`: this server does not do such a thing. `Some(false)`: the verb does
    /// not come to this point.
    async fn disturb(&mut self, case: Case, point: &str, effect: &str) -> Result<Option<bool>> {
        let mut fault = format!("{}:{point}:{effect}", case.verb());
        if case.is_during_create() {
            fault = format!("create:1:hang,{fault}");
        }
        let at = format!("{}, {fault}", case.name());
        let occid = self.start(None).await?;
        let client = self.client(&occid);
        self.delete_everything(&at, &client).await?;
        let Some(mut deed) = self.prepare(case, &client).await? else {
            occid.terminate().await?;
            return Ok(None);
        };
        occid.terminate().await?;

        let mut occid = self.start(Some(&fault)).await?;
        let client = self.client(&occid);
        if case.is_during_create() {
            deed = self.begin_create(case, deed, &client).await?;
        }
        let begun = self.journal().begin(&deed);
        let answer = client.send(&deed.request).await;
        self.journal().conclude(&deed, begun, &answer);
        if let Answer::Refused(status, message) = &answer {
            if *status == 501 {
                occid.terminate().await?;
                return Ok(None);
            }
            self.report.refused_in_table.push(format!("{at}: {status} {message}"));
        }
        // That an error was reached is not seen from outside: the same points were seen by kills.
        let reached = effect != "kill" || self.dies(&at, &mut occid, &client).await?;
        if effect != "kill" || !reached {
            let seen = self.check(&at, &occid).await?;
            self.count(&at, occid, &seen).await?;
        }
        let occid = self.start(None).await?;
        let seen = self.check(&at, &occid).await?;
        self.count(&at, occid, &seen).await?;
        if reached {
            self.report.faults += 1;
            eprintln!("{:>5} s  {at}", self.began.elapsed().as_secs());
        }
        Ok(Some(reached))
    }

    /// Sends a create that will hang, and returns what undoes it.
    async fn begin_create(&mut self, case: Case, create: Deed, client: &Client) -> Result<Deed> {
        let begun = self.journal().begin(&create);
        let answer = client.send(&create.request.clone().field("prefer", "wait=0")).await;
        self.journal().conclude(&create, begun, &answer);
        let (Answer::Done { operation, .. }, Some(compute)) = (answer, create.made.first()) else {
            bail!("a create with wait=0 was not answered");
        };
        let mut deed = self.journal().delete(*compute);
        if case == Case::CancelCreate {
            deed.name = "cancel";
            deed.request.path = operation.context("a create with wait=0 names its operation")?;
        }
        Ok(deed)
    }

    /// Whether the process ends: at the latest when its operations have ended it would have come to the point.
    async fn dies(&mut self, at: &str, occid: &mut crate::occid::Occid, client: &Client) -> Result<bool> {
        if occid.has_ended(Duration::from_millis(20)).await {
            return Ok(true);
        }
        let settled = self.settle(at, client).await;
        if occid.has_ended(Duration::from_millis(200)).await {
            return Ok(true);
        }
        settled?;
        Ok(false)
    }

    /// Makes what the write needs, and the write. `None`: this server cannot make that.
    async fn prepare(&mut self, case: Case, client: &Client) -> Result<Option<Deed>> {
        let mut lab = Lab { campaign: self, client };
        let prepared = lab.prepare(case).await;
        match prepared {
            Ok(deed) => Ok(Some(deed)),
            Err(error) if error.downcast_ref::<Unsupported>().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The server does not do that.
#[derive(Debug)]
struct Unsupported;

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not supported")
    }
}

impl std::error::Error for Unsupported {}

/// Where things are made that a case needs.
struct Lab<'c> {
    campaign: &'c mut Campaign,
    client: &'c Client,
}

impl Lab<'_> {
    /// Carries a write out, to its end.
    async fn carry_out(&mut self, mut deed: Deed) -> Result<Vec<Ref>> {
        deed.request = deed.request.field("prefer", "wait=60");
        let begun = self.campaign.journal().begin(&deed);
        let answer = self.client.send(&deed.request).await;
        self.campaign.journal().conclude(&deed, begun, &answer);
        match answer {
            Answer::Done { .. } => Ok(deed.made),
            Answer::Refused(501, _) => Err(Unsupported.into()),
            answer => bail!("{} in preparation: {answer:?}", deed.name),
        }
    }

    async fn one(&mut self, deed: Deed) -> Result<Ref> {
        let made = self.carry_out(deed).await?;
        made.first().copied().context("nothing was made")
    }

    async fn storage(&mut self) -> Result<Ref> {
        let deed = self.campaign.journal().create_storage();
        self.one(deed).await
    }

    async fn network(&mut self) -> Result<Ref> {
        let deed = self.campaign.journal().create_network();
        self.one(deed).await
    }

    async fn compute(&mut self, targets: &[Ref]) -> Result<Ref> {
        let deed = self.campaign.journal().create_compute("group", targets);
        self.one(deed).await
    }

    async fn act(&mut self, thing: Ref, term: &str) -> Result<()> {
        let deed = self.action(thing, term)?;
        self.carry_out(deed).await.map(drop)
    }

    fn action(&mut self, thing: Ref, term: &str) -> Result<Deed> {
        let journal = self.campaign.journal();
        let action = action_named(journal.kind(thing), term).context("an action")?;
        Ok(journal.act(thing, action))
    }

    /// What a compute can be linked to here: volumes where there are some.
    async fn targets(&mut self) -> Result<Vec<Ref>> {
        let mut targets = Vec::new();
        match self.storage().await {
            Ok(storage) => targets.push(storage),
            Err(error) if error.downcast_ref::<Unsupported>().is_some() => {}
            Err(error) => return Err(error),
        }
        targets.push(self.network().await?);
        Ok(targets)
    }

    async fn prepare(&mut self, case: Case) -> Result<Deed> {
        let mut deed = match case {
            Case::CreateStorage => self.campaign.journal().create_storage(),
            Case::CreateNetwork => self.campaign.journal().create_network(),
            Case::CreateCompute | Case::DeleteDuringCreate | Case::CancelCreate => {
                self.campaign.journal().create_compute("group", &[])
            }
            Case::CreateComputeWithLinks => {
                let targets = self.targets().await?;
                self.campaign.journal().create_compute("group", &targets)
            }
            Case::CreateTwoComputes => self.campaign.journal().create_two("group"),
            Case::CreateStorageLink => {
                let (compute, storage) = (self.compute(&[]).await?, self.storage().await?);
                self.campaign.journal().create_link(compute, storage)
            }
            Case::CreateNetworkInterface => {
                let (compute, network) = (self.compute(&[]).await?, self.network().await?);
                self.campaign.journal().create_link(compute, network)
            }
            Case::UpdateCores => {
                let compute = self.compute(&[]).await?;
                self.act(compute, "stop").await?;
                self.campaign.journal().update(compute, CORES, json!(2))
            }
            Case::UpdateWithLink => {
                let (compute, network) = (self.compute(&[]).await?, self.network().await?);
                self.act(compute, "stop").await?;
                self.campaign.journal().update_with_link(compute, network, json!(2))
            }
            Case::Resize => {
                let storage = self.storage().await?;
                self.campaign.journal().resize(storage, 2.0)
            }
            Case::Act(kind, term) => {
                let thing = match kind {
                    Kind::Storage => self.storage().await?,
                    Kind::Network => self.network().await?,
                    _ => self.compute(&[]).await?,
                };
                let first = match term {
                    "start" => Some("stop"),
                    "up" => Some("down"),
                    "online" => Some("offline"),
                    _ => None,
                };
                if let Some(first) = first {
                    self.act(thing, first).await?;
                }
                self.action(thing, term)?
            }
            Case::StopSeveral => {
                let members = [self.compute(&[]).await?, self.compute(&[]).await?];
                let stop = action_named(Kind::Compute, "stop").context("an action")?;
                self.campaign.journal().act_on_group("group", &members, stop)
            }
            Case::DeleteCompute => {
                let targets = self.targets().await?;
                let compute = self.compute(&targets).await?;
                self.campaign.journal().delete(compute)
            }
            Case::DeleteStorage => {
                let storage = self.storage().await?;
                self.campaign.journal().delete(storage)
            }
            Case::DeleteNetwork => {
                let network = self.network().await?;
                self.campaign.journal().delete(network)
            }
            Case::DeleteLink => {
                let targets = self.targets().await?;
                let compute = self.compute(&targets).await?;
                let journal = self.campaign.journal();
                let link = journal.links_of(compute).first().copied().context("a link")?;
                journal.delete(link)
            }
            Case::DeleteSeveral => {
                let members = [self.compute(&[]).await?, self.compute(&[]).await?];
                self.campaign.journal().delete_several(&members)
            }
        };
        if case.verb() == "create" {
            let key = format!("key-{}", self.campaign.dice.below(u64::MAX));
            deed.request = with_key(deed.request, &key);
        }
        Ok(deed)
    }
}
