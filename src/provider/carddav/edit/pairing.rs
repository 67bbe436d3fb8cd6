//! Which element of a list is which after an edit (icloud-carddav 6.5, 3): first what is equal, then by key, then by
//! label, then by position.

use crate::card::field::{Element, Field};
use crate::card::normalize::key;

/// For each element before, which one it is afterwards; none = it goes.
pub(super) fn pair(field: Field, before: &[Element], after: &[Element]) -> Vec<Option<usize>> {
    let mut pairs = vec![None; before.len()];
    let mut free: Vec<usize> = (0..after.len()).collect();
    let keys = |elements: &[Element]| elements.iter().map(|one| key(field, &one.value)).collect::<Vec<_>>();
    let (old, new) = (keys(before), keys(after));
    let rules: [&dyn Fn(usize, usize) -> bool; 6] = [
        &|b, a| before[b] == after[a],
        &|b, a| before[b].value == after[a].value,
        &|b, a| old[b] == new[a] && before[b].labels == after[a].labels,
        &|b, a| old[b] == new[a],
        &|b, a| before[b].labels == after[a].labels,
        &|_, _| true,
    ];
    for same in rules {
        for (b, to) in pairs.iter_mut().enumerate().filter(|(_, to)| to.is_none()) {
            *to = free.iter().position(|a| same(b, *a)).map(|at| free.remove(at));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::field::Value;

    #[test]
    fn equal_then_key_then_label_then_position() {
        let phone = |number: &str, label: &str| Element {
            value: Value::Text(number.into()),
            labels: [label].into_iter().collect(),
            preferred: false,
        };
        type Row<'a> = (&'a [Element], &'a [Element], &'a [Option<usize>]);
        let rows: &[Row<'_>] = &[
            (&[phone("555-0100", "home"), phone("555-0101", "work")], &[phone("555-0101", "work")], &[None, Some(0)]),
            (&[phone("555-0100", "home")], &[phone("555-0199", "work"), phone("(555) 0100", "work")], &[Some(1)]),
            (&[phone("555-0100", "home"), phone("555-0101", "work")], &[phone("555-0199", "work")], &[None, Some(0)]),
            (&[phone("555-0100", "home")], &[phone("555-0199", "work")], &[Some(0)]),
        ];
        for (before, after, pairs) in rows {
            assert_eq!(pair(Field::Phones, before, after), *pairs, "{before:?} {after:?}");
        }
    }
}
