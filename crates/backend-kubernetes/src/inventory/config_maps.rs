//! ConfigMaps: meant for configuration, and yet.

use std::sync::Arc;

use claviger_backend::{Result, ScanSink};
use claviger_core::{
    model::Place,
    observation::{Content, Observation, ObservedCopy},
    secret::SecretValue,
};

use super::{
    Context, Scan,
    object::{self, Object, decode, written_at},
};
use crate::{
    failure::Failure,
    paging::{Batch, PageReader},
    resource::CONFIG_MAPS,
    wire::{self, ConfigMap, Text},
};

const PART: &str = "configmaps";
/// The cluster's certificate, put into every namespace by a controller.
const ROOT_CA: &str = "kube-root-ca.crt";

impl Scan<'_> {
    /// All values of all ConfigMaps; which of them are secrets the engine says.
    pub(super) async fn config_maps(&mut self, sink: &mut ScanSink) -> Result<()> {
        let context = Arc::clone(&self.context);
        let mut reader = ConfigMapReader { context: &context };
        let troubles = self.read(CONFIG_MAPS, &mut reader, sink).await?;
        self.end(PART, &troubles, sink).await
    }
}

struct ConfigMapReader<'s> {
    context: &'s Context<'s>,
}

impl PageReader for ConfigMapReader<'_> {
    fn read(&mut self, body: &[u8], batch: &mut Batch) -> Result<(usize, Option<String>), Failure> {
        let (items, next) = wire::page::<ConfigMap<'_>>(body)?;
        let count = items.len();
        for map in items {
            let meta = &map.metadata;
            if meta.name.as_str() != ROOT_CA && self.context.selects(meta.namespace.as_str()) {
                let area = meta.namespace.plain();
                for copy in observe(self.context, map) {
                    batch.push(&area, PART, Observation::Copy(copy));
                }
            }
        }
        Ok((count, next))
    }
}

fn observe(context: &Context<'_>, map: ConfigMap<'_>) -> Vec<ObservedCopy> {
    let meta = &map.metadata;
    let object = Object::new(context, "ConfigMap", Place::Configuration, meta, map.immutable);
    let binary = decode(&map.binary_data);
    let mut values: Vec<(Text<'_>, Content)> = map
        .data
        .0
        .into_iter()
        .map(|(key, value)| (key, Content::Value(SecretValue::from_text(value.into_value()))))
        .collect();
    values.extend(binary);
    let beside = object::beside(&values);
    let mut copies: Vec<(String, ObservedCopy)> = values
        .into_iter()
        .map(|(key, content)| {
            let key = key.plain();
            let copy = object.copy(&key, content, &beside, written_at(meta, &key));
            (key, copy)
        })
        .collect();
    let former = object.former(meta, &mut copies, &beside, false);
    copies.into_iter().map(|(_, copy)| copy).chain(former).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use claviger_core::model::{CopyStage, Labels};

    use super::*;
    use crate::{namespace::NamespaceFilter, place::Names};

    #[test]
    fn text_and_binary_values_are_configuration() {
        let (names, labels, filter) = (Names::new("prod"), Labels::new(), NamespaceFilter::default());
        let context = Context {
            names: &names,
            labels: &labels,
            filter: &filter,
            owners: BTreeMap::new(),
            namespace_labels: BTreeMap::new(),
        };
        let json = serde_json::json!({
            "metadata": {"name": "app", "namespace": "web", "annotations":
                {super::super::object::LAST_APPLIED: r#"{"data":{"url":"postgres://a:old@h/d","level":"info"}}"#}},
            "data": {"url": "postgres://a:new@h/d", "level": "info"},
            "binaryData": {"blob": "/w=="},
        })
        .to_string();
        let copies = observe(&context, wire::read(json.as_bytes()).expect("a ConfigMap"));
        let found: Vec<_> = copies.iter().map(|copy| (copy.at.as_str(), copy.stage)).collect();
        assert_eq!(
            found,
            [
                ("prod/web/ConfigMap/app#level", CopyStage::Current),
                ("prod/web/ConfigMap/app#url", CopyStage::Current),
                ("prod/web/ConfigMap/app#blob", CopyStage::Current),
                ("prod/web/ConfigMap/app#url", CopyStage::Former),
            ]
        );
        assert!(copies.iter().all(|copy| copy.place == Place::Configuration));
        assert!(matches!(&copies[2].content, Content::Value(value) if value.expose() == [0xff]));
        assert_eq!(copies[0].attributes["last_applied"], true);
    }
}
