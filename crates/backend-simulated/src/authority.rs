//! The cluster's bindings of users and groups, which are cut where a client certificate cannot be refused.

use async_trait::async_trait;
use claviger_backend::{Authority, Hold, Operation, Result, Rights};
use claviger_core::{
    reference::Ref,
    saga::{Party, Person, Question},
};

use crate::{
    SimulatedBackend,
    backend::Change,
    estate::{Estate, UserBinding},
    issuer::no_issuer,
    target::Target,
};

/// What a binding allows is the use of its role where it reaches.
fn question(binding: &UserBinding) -> Question {
    Question {
        verb: "use".to_owned(),
        group: String::new(),
        resource: binding.role.clone(),
        namespace: (binding.reach != "*").then(|| binding.reach.clone()),
    }
}

fn names(binding: &UserBinding, party: &Party) -> bool {
    binding.subjects.contains(party)
}

fn allows(estate: &Estate, who: &Person, asked: &Question) -> bool {
    let is_in = |party: &Party| {
        *party == Party::user(&who.user) || who.groups.iter().any(|group| *party == Party::group(group))
    };
    let mut bindings = estate.cluster.user_bindings.values();
    bindings.any(|binding| binding.subjects.iter().any(is_in) && question(binding) == *asked)
}

#[async_trait]
impl Authority for SimulatedBackend {
    fn is_at(&self, server: &str) -> bool {
        server == self.info.endpoint
    }

    async fn rights(&self, who: &Person) -> Result<Rights> {
        let estate = self.survey("rights").await?;
        let (mut holds, mut questions) = (Vec::new(), Vec::new());
        for (name, binding) in &estate.cluster.user_bindings {
            let (parties, others): (Vec<_>, Vec<_>) =
                binding.subjects.iter().cloned().partition(|party| who.cut.contains(party));
            if parties.is_empty() {
                continue;
            }
            questions.push(question(binding));
            holds.push(Hold {
                at: self.at(["k8s", "*", "ClusterRoleBinding", name]),
                privilege: binding.role.clone(),
                reach: binding.reach.clone(),
                parties,
                others: others.iter().map(ToString::to_string).collect(),
                managed_by: None,
            });
        }
        Ok(Rights { at: self.at(["k8s", "*", "User", &who.user]), holds, questions, refused: None })
    }

    async fn may(&self, who: &Person, questions: &[Question]) -> Result<Vec<bool>> {
        let estate = self.survey("may").await?;
        Ok(questions.iter().map(|asked| allows(&estate, who, asked)).collect())
    }

    async fn cut(&self, op: &Operation, binding: &Ref, parties: &[Party]) -> Result<Vec<Party>> {
        self.mutate("cut", op, binding, |estate, target, _| {
            let Target::UserBinding(name) = target else { return Err(no_issuer("cut", binding)) };
            let Some(held) = estate.cluster.user_bindings.get_mut(name) else {
                return Ok(Change::nothing(Vec::new()));
            };
            let cut: Vec<Party> = parties.iter().filter(|party| names(held, party)).cloned().collect();
            if cut.is_empty() {
                return Ok(Change::nothing(cut));
            }
            held.subjects.retain(|party| !cut.contains(party));
            estate.next_revision();
            Ok(Change::made(cut))
        })
        .await
    }
}
