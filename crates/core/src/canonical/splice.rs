//! Writing a new value into the wrappings of the old one.

use zeroize::Zeroizing;

use super::{
    SpliceError,
    document::{self, Document, Reading},
    layer,
    material::{self, Material},
};
use crate::{
    format::{
        slot::{self, Slot, Write},
        yaml_text,
    },
    secret::SecretValue,
};

/// Documents within documents that are opened: as deep as [`super::leaves`] goes.
const MOST_DEPTH: usize = 6;

/// The same value with exactly the leaf at `pointer` replaced: line breaks, base64, quoting, escaping and everything around it stay.
///
/// `old` is the leaf's former value, as [`super::Leaf::canonical`] had it (or a key in any notation: key pairs are compared by their public
/// half). `new` is put in as it is, without a trailing line break. Every format that [`super::leaves`] opens is tried, whatever the field's
/// name was, and the result is opened again to see that `new` is what one reads there.
///
/// # Errors
/// See [`SpliceError`]. On any error nothing was made.
pub fn splice(
    value: &SecretValue,
    pointer: &str,
    old: &SecretValue,
    new: &SecretValue,
) -> Result<SecretValue, SpliceError> {
    let old = canonical(old.expose());
    let new = layer_free(new.expose());
    if new.is_empty() {
        return Err(SpliceError::NotRepresentable);
    }
    let written = at(value.expose(), pointer, &old, new, 0)?;
    // What was written is read again: a value that would be found to be another (it looks like a URL, or like base64 in a place that had
    // none) could never be seen as arrived. Replacing the new value by itself says whether it is there.
    at(&written, pointer, &canonical(new), new, 0).map_err(|_| SpliceError::NotRepresentable)?;
    Ok(SecretValue::new(written.to_vec()))
}

/// What lies at `pointer`, without its wrappings: a secret as [`super::Leaf::canonical`] has it, or what stands beside one. `None` where the
/// document has nothing there.
pub fn value_at(value: &SecretValue, pointer: &str) -> Option<SecretValue> {
    find(value.expose(), pointer, 0).map(|found| SecretValue::new(found.to_vec()))
}

fn find(bytes: &[u8], pointer: &str, depth: usize) -> Option<Zeroizing<Vec<u8>>> {
    let peeled = layer::peel(bytes);
    if depth < MOST_DEPTH {
        for document in document::open(&peeled.inner, Reading::Any) {
            let here = document
                .slots
                .iter()
                .find_map(|slot| find(slot.value.expose(), within(pointer, &slot.pointer)?, depth + 1));
            if here.is_some() {
                return here;
            }
        }
    }
    pointer.is_empty().then_some(peeled.inner)
}

fn at(
    bytes: &[u8],
    pointer: &str,
    old: &[u8],
    new: &[u8],
    depth: usize,
) -> Result<Zeroizing<Vec<u8>>, SpliceError> {
    let peeled = layer::peel(bytes);
    let mut failure = SpliceError::NoSuchLeaf;
    if depth < MOST_DEPTH {
        for document in document::open(&peeled.inner, Reading::Any) {
            match in_document(&document, &peeled.inner, pointer, old, new, depth) {
                Ok(inner) => return Ok(peeled.wrap(&inner)),
                // What a later reading finds missing, an earlier one found and could not write: that is the better answer.
                Err(SpliceError::NoSuchLeaf) => {}
                Err(error) if failure == SpliceError::NoSuchLeaf => failure = error,
                Err(_) => {}
            }
        }
    }
    if pointer.is_empty() && failure == SpliceError::NoSuchLeaf {
        if *canonical(&peeled.inner) != *old {
            return Err(SpliceError::OldValueDiffers);
        }
        return Ok(peeled.wrap(new));
    }
    Err(failure)
}

fn in_document(
    document: &Document,
    inner: &[u8],
    pointer: &str,
    old: &[u8],
    new: &[u8],
    depth: usize,
) -> Result<Zeroizing<Vec<u8>>, SpliceError> {
    let mut failure = SpliceError::NoSuchLeaf;
    for slot in &document.slots {
        let Some(rest) = within(pointer, &slot.pointer) else { continue };
        let attempt =
            at(slot.value.expose(), rest, old, new, depth + 1).and_then(|value| write(slot, inner, &value));
        match attempt {
            Ok(written) => return Ok(written),
            Err(SpliceError::NoSuchLeaf) => {}
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// What is left of a pointer behind a slot's.
fn within<'a>(pointer: &'a str, slot: &str) -> Option<&'a str> {
    if slot.is_empty() {
        return Some(pointer);
    }
    let rest = pointer.strip_prefix(slot)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

fn write(slot: &Slot, document: &[u8], value: &[u8]) -> Result<Zeroizing<Vec<u8>>, SpliceError> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| SpliceError::NotRepresentable);
    let (document, value) = (text(document)?, text(value)?);
    let written = match &slot.write {
        Write::ReadOnly => return Err(SpliceError::ReadOnly),
        Write::Ranges(ranges) => slot::write_ranges(document, ranges, value)?,
        Write::Yaml(path) => {
            let old = slot.value.expose_text().ok_or(SpliceError::NotRepresentable)?;
            yaml_text::replace(document, path, old, value)?
        }
    };
    Ok(Zeroizing::new(written.as_bytes().to_vec()))
}

/// What two notations of one value have in common.
fn canonical(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let peeled = layer::peel(bytes);
    match material::read(&peeled.inner, std::str::from_utf8(&peeled.inner).ok()) {
        Material::Pair(pair) | Material::Certificate(pair, _) => match pair.spki {
            Some(spki) => Zeroizing::new(spki),
            None => pair.body,
        },
        Material::None => peeled.inner,
    }
}

fn layer_free(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn pointers_are_taken_apart_at_segments() {
        assert_eq!(super::within("a/b/c", "a/b"), Some("c"));
        assert_eq!(super::within("a/b", "a/b"), Some(""));
        assert_eq!(super::within("a/bc", "a/b"), None);
        assert_eq!(super::within("a", ""), Some("a"));
    }
}
