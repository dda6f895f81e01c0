//! The catalogue of findings: every kind has a permanent code, a name, a summary and an
//! explanation.
//!
//! The enum, `lanyard explain`, the documentation's page and the rules of a SARIF report are made
//! from it.

use std::fmt;

macro_rules! catalogue {
    ($( $variant:ident $id:literal $name:literal $severity:ident $summary:literal $text:literal; )*) => {
        /// The kinds of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $( #[doc = $summary] $variant, )*
        }

        impl Code {
            /// All kinds, in the order of their codes.
            pub const ALL: &[Self] = &[$( Self::$variant, )*];

            /// The code, such as `LC014`. A code never changes and is never used again.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $( Self::$variant => $id, )* }
            }

            /// The name, in words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// The severity of the kind.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $( Self::$variant => Severity::$severity, )* }
            }

            /// The summary, in one line.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $( Self::$variant => $summary, )* }
            }

            /// The explanation: why it is a fault, and what to do.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }
        }
    };
}

/// The severity of a finding: an error keeps a document out of force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The finding keeps the document out of force.
    Error,
    /// The finding does not keep the document out of force.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl Code {
    /// The kind with this code or name.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let is = |code: &&Self| code.id().eq_ignore_ascii_case(text) || code.name() == text;
        Self::ALL.iter().find(is).copied()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

catalogue! {
    Yaml "LC001" "yaml" Error
        "The file is not YAML."
        "The parser stopped at the place that is shown; what is behind it was not read. Mostly it is an indentation \
         with tabs, a missing colon, or a quote that is not closed.";
    Empty "LC002" "empty" Error
        "The file holds nothing."
        "A charter file holds one charter. An empty file is refused because it is mostly the trace of a write that \
         was cut off.";
    TooLarge "LC003" "too-large" Error
        "The file is larger than 256 KiB."
        "A charter for one purpose takes a few kilobytes. Split the charter by purpose.";
    TooDeep "LC004" "too-deep" Error
        "Something is nested deeper than 64 levels."
        "No part of a charter needs more than ten levels.";
    SecondDocument "LC005" "second-document" Error
        "There is a second document in the file."
        "One file, one charter: a reviewer has to see all of a charter in one change. Put the second one into a file \
         of its own.";
    Anchor "LC006" "anchor" Error
        "Anchors are not used here."
        "With anchors, a reader has to look elsewhere for what a line means, and a small file can stand for a huge one. \
         Write it out.";
    Alias "LC007" "alias" Error
        "Aliases are not used here."
        "With aliases, a reader has to look elsewhere for what a line means, and a small file can stand for a huge one. \
         Write it out.";
    Tag "LC008" "tag" Error
        "Tags are not used here."
        "A tag changes how a value is read. Every value in a charter is a text, a list or a map.";
    MergeKey "LC009" "merge-key" Error
        "Merge keys are not used here."
        "`<<` takes fields from somewhere else, and which ones win is easily misread. Write the fields out.";
    DuplicateKey "LC010" "duplicate-key" Error
        "A field stands twice."
        "Parsers disagree on which of the two wins, so a review could have seen the other one. Remove one.";
    Key "LC011" "key" Error
        "A key is not a plain text."
        "Keys are names. YAML also takes lists and maps as keys; a charter does not.";
    Missing "LC012" "missing-field" Error
        "A field that has to be there is missing."
        "What a field means and which are required is in the charter reference; `lanyard charter init` writes a charter \
         that has them all.";
    UnknownField "LC013" "unknown-field" Error
        "There is no such field here."
        "A field that is not known is refused and not passed over: a misspelt limit would be no limit.";
    Kind "LC014" "wrong-kind" Error
        "A list, a map or a text stands where another of these belongs."
        "The message names what is expected at this place.";
    Value "LC015" "value" Error
        "The value is not one that can stand here."
        "The message names what can. Spans of time are written 90s, 10m or 2h; names are lower-case letters, digits and \
         dashes, as Kubernetes names are.";
    Undeclared "LC016" "undeclared" Error
        "The name is not declared."
        "Environments and targets are declared once, in the daemon's configuration, with what is production and which \
         account or cluster a target is. A charter names them and does not make them up; within a charter, a section \
         names the environments of that charter.";
    TargetKind "LC017" "target-kind" Error
        "The target is of another kind than the grant."
        "An `aws` grant needs a target that is declared as an AWS account, and so on.";
    NoAgents "LC018" "no-agents" Error
        "The charter is for nobody."
        "Name at least one agent, by issuer and subject or by SPIFFE ID.";
    GrantKind "LC019" "grant-kind" Error
        "A grant is for exactly one provider."
        "Write one of the provider's sections in each grant. Two systems take two grants.";
    DuplicateGrant "LC020" "duplicate-grant" Error
        "Two grants have the same name."
        "Requests, approvals and the journal name a grant by its name within the charter.";
    EmptyGrant "LC021" "empty-grant" Error
        "The grant allows nothing."
        "A grant without a right is a mistake: remove it, or say what it allows.";
    DuplicateCharter "LC022" "duplicate-charter" Error
        "Two files hold a charter of the same name."
        "A task names its charter by its name, so there is one. Neither of the two would be in force.";
    Policy "LC023" "policy" Error
        "A policy cannot be used."
        "`plans.policies` names files in Rego beneath the charter's folder, without `..` and without links. They are compiled \
         together, as Rego v1 or, where that fails, as v0; each package may hold `deny`, `violation` and `warn` as conftest reads \
         them, `risk` and `approval`. A policy that cannot be used denies every plan, so the charter is not in force with one.";
    IdentityAction "LC101" "identity-action" Error
        "Identity is never given to an agent."
        "`iam:` and `sts:` actions change who may do what, or make other credentials that no kill reaches. Of IAM an agent \
         may be given what only looks, and `iam:PassRole` for a role and a service that are named.";
    PlanWrites "LC102" "plan-writes" Error
        "The plan role can do more than read."
        "The plan role works out a change, unattended, in production too. It is given reads alone, without those that \
         hand on a secret or another credential, and without what AWS calls a read and acts. An action that is not known \
         counts as a write. Give the action to a grant with the apply role, take it out of a pattern with `except`, or \
         name a read that hands something on in `approved`: then a person approves each credential. Some actions only \
         read under a condition (`when`), which the message names.";
    WildcardInProduction "LC103" "wildcard-in-production" Error
        "An apply in production names its actions one by one."
        "A wildcard also holds the actions that the provider adds next year. Write the actions out.";
    Prohibited "LC104" "prohibited-grant" Error
        "A grant gives what the charter prohibits."
        "What is prohibited dominates every grant, so this right could never be used. Remove one of the two.";
    Destructive "LC105" "destructive" Error
        "What is called destructive is not allowed by the grant."
        "`destructive` picks, from what the grant allows, what an approval has to name. An action that the grant does \
         not allow is misspelt, or belongs to `prohibited`.";
    DangerousRbac "LC106" "dangerous-rbac" Error
        "These Kubernetes rights are never given to an agent."
        "Secrets, roles and bindings, tokens of other service accounts, admission webhooks, certificate signing, \
         charters themselves (`lanyard.dev`), `escalate`, `bind` and `impersonate` each lead to more power than a charter \
         can bound; a wildcard holds them all.";
    Autonomy "LC107" "autonomy" Error
        "The autonomy does not fit the environment, or the grant the autonomy."
        "observe and propose are for the plan role; execute-sandbox is for environments that are not production; \
         execute-production is for those that are.";
    TooFewPeople "LC108" "too-few-people" Error
        "Too few people approve this."
        "An apply in production takes at least two people. So does, in every environment, a right that could raise its own \
         power, open the network perimeter, or delete what holds state.";
    NoPlan "LC109" "no-plan" Error
        "An apply in production needs a plan."
        "People approve a plan: the bytes that will be applied. Without one they would approve a promise. Name the \
         environment in `plans.required`.";
    VaultPolicy "LC110" "vault-policy" Error
        "This Vault policy is never given to an agent."
        "`root` may do everything. `default` is what the owners of that Vault change for everybody in it, so nobody who reviews \
         a charter knows what it holds. Name policies that were written for the agent.";
    OwnNamespace "LC111" "own-namespace" Error
        "No agent is given anything in the broker's own namespaces."
        "In the namespace of a target's leases, and in the one that the broker runs in, are the broker's own objects and other \
         agents' credentials. Charters and what belongs to them (`lanyard.dev`) are never given either: LC106.";
    NoSuchAction "LC120" "no-such-action" Error
        "AWS lists no such action, or none that matches the pattern."
        "A grant of a name that is no action gives nothing, and a prohibition or an exception of one leaves the right open. \
         The table of actions is AWS's service authorization reference, at the date that the message says. An action that \
         AWS added since is named in `spec.unlisted_actions`, in full.";
    PolicySize "LC121" "session-policy-size" Error
        "The session policy is longer than STS takes."
        "STS takes 2,048 characters, and nothing is left out to make a grant fit: a credential of it could never be issued. \
         Split the grant, or shorten its resources. `lanyard charter compile` shows the policy.";
    ForeignPartition "LC122" "foreign-partition" Error
        "The ARN is in another partition than the target."
        "A session of one partition (`aws`, `aws-cn`, `aws-us-gov`) reaches nothing of another.";
    Exception "LC123" "exception" Error
        "What is excepted or approved is nothing that the grant allows."
        "`except` takes actions out of the patterns of a grant. `approved` names, in a grant with the plan role, the reads \
         that hand on a secret or act, which a person has to approve. An action that the grant does not allow is \
         misspelt, or is left from an earlier version.";
    Condition "LC124" "condition" Error
        "The condition cannot be used."
        "`when` holds condition keys of AWS, each with the values of which one has to be there. Keys of text, ARNs, `true` or \
         `false` and addresses are in the language. A key that has several values in one request is not: its operators \
         allow a request that has none.";
    PassedRole "LC125" "passed-role" Error
        "The role that may be passed is not bounded."
        "Whoever may pass a role to a service can have code run with its rights. `iam:PassRole` stands in a statement of its \
         own, names each role in full, and has a condition on `iam:PassedToService` that names the services.";
    Unnarrowed "LC126" "unnarrowed" Error
        "The statement cannot be left un-narrowed."
        "`unnarrowed` marks what every apply needs and no plan names: the state of Terraform, its lock, and the key of both. \
         Approvers read it in each plan, so it stands in a grant with the apply role, names its actions and resources, and \
         says why in a line.";
    BroadPurpose "LC201" "broad-purpose" Warning
        "The purpose takes more than one sentence."
        "If the purpose of a charter does not fit one sentence, the charter is too broad: it asks for two charters.";
    UnusedEnvironment "LC202" "unused-environment" Warning
        "No grant is for this environment."
        "A task can be opened there, and can be given nothing.";
    IdleProhibition "LC203" "idle-prohibition" Warning
        "No grant could reach what is prohibited."
        "The prohibition is about a kind of Kubernetes that not every cluster has, and no grant is about it. It may be \
         misspelt; if it is meant for later grants, allow it with a reason. Actions of AWS are looked up instead.";
    IdleApproval "LC204" "idle-approval" Warning
        "No grant needs this approval."
        "No grant has this role in this environment. It may be misspelt.";
    IdlePlan "LC205" "idle-plan" Warning
        "No grant needs a plan in this environment."
        "`plans.required` names an environment in which no grant has that role.";
    IdleTtl "LC206" "idle-ttl" Warning
        "The grant's ttl is longer than the charter's."
        "The shorter one holds, so the grant's has no effect.";
    LongTtl "LC207" "long-ttl" Warning
        "A credential may live longer than an hour."
        "What leaks is of use until it ends. Agents can ask again: short lives cost them one call.";
    AnybodyApproves "LC208" "anybody-approves" Warning
        "Everybody with the approver role may approve this."
        "Without `from`, an approver of any team counts. Name the groups that know the system.";
    ManyUses "LC209" "many-uses" Warning
        "One approval is good for several applies."
        "Each of them applies the plan that was approved, but people decided on one. `uses: 1` is the usual.";
    EveryResource "LC210" "every-resource" Warning
        "A grant that can change things is for every resource."
        "The resource holds everything of a kind that the grant can change, now and later. Actions that only look, or that \
         take no resource but `*`, do not count.";
    OneOwner "LC211" "one-owner" Warning
        "The security owner is also the business or the technical owner."
        "The security owner is there to say no to the other two.";
    NoBound "LC212" "no-revocation-bound" Warning
        "The charter applies in production and says nothing about how fast its credentials can be revoked."
        "`limits.revocable_within` refuses a credential that could go on for longer than this after a kill.";
    AdminEquivalent "LC213" "admin-equivalent" Warning
        "The grant could raise its own power."
        "Whoever can run code or start workloads as a stronger identity has that identity's rights. The message names \
         the path. Such a grant needs two people in every environment.";
    UnknownAction "LC214" "unknown-action" Warning
        "AWS lists no such action."
        "The charter names it in `unlisted_actions`: an action that is younger than the table of this version. It gives \
         nothing, or something that nobody looked at, so it counts as a write and takes two people.";
    ForeignAccount "LC215" "foreign-account" Warning
        "The resource is in another account than the target."
        "A session of the target's account reaches it only if a policy of the other account lets it. Mostly it is a slip in a \
         number of twelve digits.";
    RenamableAgent "LC216" "renamable-agent" Warning
        "The agent is known by names that can change hands."
        "GitHub and GitLab put the names of organisations and projects into the subject. Whoever takes a name that was \
         renamed or deleted has that subject. Numbers that are never given again are in other claims: ask for one of them.";
    PullRequestAgent "LC217" "pull-request-agent" Warning
        "Pull requests meet this agent."
        "A pull request runs what its author wrote, before anybody has looked at it. Whoever can open one in that repository \
         is this agent.";
    OpenAgent "LC218" "open-agent" Warning
        "Anything of a kind meets this agent."
        "Whoever can push a branch or a tag can choose its name, and an environment that does not exist is made on its first \
         use. Name one that is protected.";
    EndsSoon "LC219" "ends-soon" Warning
        "The charter has ended, or ends within two weeks."
        "After `spec.expires` the charter gives nothing, and its tasks are closed. Ask its owners whether the agent is still \
         needed, and write a later date; or remove the file. `lanyard charter list` and `lanyard status` warn of it too.";
    HandsOnCredential "LC230" "hands-on-credential" Warning
        "The grant hands on credentials that outlive a kill."
        "The answer of the action holds a key, a token or a password of its own. A kill ends the session, and not what the \
         session was given: that ends by its own time, or where somebody takes it back. The lease says `unbounded`, and a \
         charter with `limits.revocable_within` refuses it.";
    CannotWork "LC231" "cannot-work" Warning
        "No request can meet this right."
        "The action is about other kinds of resource than those of the statement, the ARN has not the shape of any of them, \
         or no request of the action has the condition key. A bucket is `arn:aws:s3:::name`, its objects are \
         `arn:aws:s3:::name/*`.";
    FitsNarrowed "LC232" "fits-when-narrowed" Warning
        "The session policy is longer than STS takes, unless a plan narrows it."
        "An apply is narrowed to what its plan names. Where the plan names too much, or leaves open what it changes, nothing \
         can be issued. Split the grant, or shorten its resources.";
    ListedByNow "LC233" "listed-by-now" Warning
        "AWS lists the action by now."
        "`unlisted_actions` is for actions that the table of this version does not know. Remove it there, so that the action \
         counts as what it is.";
    StateNarrowed "LC234" "state-narrowed" Warning
        "Plans narrow the writing of Terraform's state away."
        "The session of an apply is narrowed to what its plan names, and no plan names the state that Terraform writes, its lock, \
         or the key of both. Mark their statement: `unnarrowed: Terraform's state and its lock`. Where the state is not in this \
         account, or another login writes it, allow the warning with that as the reason.";
    UnusedAllow "LC301" "unused-allow" Warning
        "This allow is not needed."
        "Nothing is found any more at the place that it is about. Remove it, so that it does not hide what comes next.";
    AllowReason "LC302" "allow-without-reason" Error
        "An allow needs a reason."
        "Write `# lanyard:allow LC210 because …` on the line of the finding, or on the line before it. Whoever reads the \
         charter next has to know why.";
    AllowError "LC303" "allow-of-an-error" Error
        "Only warnings can be allowed."
        "The rules behind the errors hold whatever a charter says.";
    Listen "LC401" "listen" Error
        "The daemon does not listen there."
        "Off loopback, nothing is served without TLS: name a certificate and its key.";
    Issuer "LC402" "issuer" Error
        "The issuer cannot be used."
        "An issuer is trusted to say who somebody is; its keys come from a file or over https.";
    AwsRole "LC403" "aws-role" Error
        "The role cannot be used."
        "A target names the ARN of the role that a session is made of, for plan and for apply; the two differ.";
    Named "LC404" "named" Error
        "Something that the configuration names cannot be used."
        "Found by `lanyardd check`. A daemon would start all the same, so that kills and revocations go on, and issue nothing that \
         needs what is missing. The message names the file, the address or the setting, and what is wrong with it.";
    AtTheStart "LC405" "at-the-start" Warning
        "The daemon starts, and something about the start deserves a look."
        "Found by `lanyardd check`: a certificate that ends soon, say, or a directory that the start will close to others.";
    NotSetUp "LC501" "not-set-up" Error
        "What the grant needs is not there, or not as it has to be."
        "Found by `lanyard charter lint --against`, where the broker looks at its targets: whether the lease role exists, lets \
         the minting principal in and has a permissions boundary, whether a ClusterRole exists and is what the \
         configuration pins, and whether the session policy is within STS's limits.";
    BeyondBounds "LC601" "beyond-bounds" Error
        "The charter names what its namespace is not for."
        "Whoever may write a Charter object in a namespace writes charters, so the daemon's configuration says what a charter \
         there may name (`charter_objects.namespaces`): its own name, targets, environments and agents. Where nothing is said \
         of agents, they are the service accounts of that namespace.";
    NameTaken "LC602" "name-taken" Error
        "Another charter has the name."
        "A task names its charter by its name, so there is one. A file of the charter directory comes before every object; among \
         objects the older one has the name, whatever is wrong with it. The other one comes into force when that one is gone.";
    UnpinnedPolicy "LC603" "unpinned-policy" Error
        "A policy of a Charter object is named without its digest."
        "A policy of an object is a key of a ConfigMap, which others may be able to change. The charter names its digest, so that \
         what judges plans is what the charter's author saw: `{path: CONFIGMAP/KEY.rego, digest: sha256:…}`.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_found_by_its_id_and_its_name_and_by_nothing_else() {
        let mut seen = BTreeSet::new();
        for code in Code::ALL {
            assert_eq!(Code::find(code.id()), Some(*code));
            assert_eq!(Code::find(code.name()), Some(*code));
            assert!(seen.insert(code.id()) && seen.insert(code.name()), "{code}");
        }
        assert!(Code::ALL.is_sorted_by_key(|code| code.id()));
        assert_eq!(Code::find("LC000"), None);
    }
}
