//! The version token of an object: `<resourceVersion>@<uid>`. A resourceVersion alone could come back in an object that was re-created.

use crate::wire::Meta;

pub(crate) fn of(meta: &Meta<'_>) -> String {
    format!("{}@{}", meta.resource_version.plain(), meta.uid.plain())
}
