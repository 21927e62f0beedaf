//! The type picker: boxes for the event types that a company knows, so that nobody has to
//! remember how one is spelt.

use std::collections::{BTreeSet, HashMap};

use tidings_domain::{catalog::CatalogType, cursor::Order};

use crate::{attempt_words::shortened, fault::Fault, visit::AtCompany};

/// Boxes at most; what is beyond can be typed.
const CHOICES_MAX: usize = 150;
/// Webhooks whose types are offered.
const WEBHOOKS_ASKED_MAX: usize = 100;
/// Characters of a type's description that are shown.
const MEANING_CHARS_SHOWN: usize = 80;
/// The wildcard for everything stands apart from the others.
const ALL: &str = "*";

/// Boxes for types and wildcards.
#[derive(Clone, Debug)]
pub(super) struct TypePicker {
    /// Whether everything is wanted.
    pub(super) all: bool,
    /// In alphabetical order.
    pub(super) choices: Vec<Choice>,
    /// How many more there would be.
    pub(super) left_out: usize,
}

/// One box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) name: String,
    /// What the catalog says of it.
    pub(super) meaning: Option<String>,
    pub(super) ticked: bool,
}

impl TypePicker {
    /// The boxes for a company: types of the catalog and among its newest events, what its
    /// webhooks name, wildcards above them, and what is ticked.
    pub(super) async fn at(at: &AtCompany, ticked: &[String]) -> Result<Self, Fault> {
        let store = at.store();
        let order = Order::Descending;
        let (catalog, recent, webhooks) = tokio::try_join!(
            store.event_types(),
            store.recent_types(&at.company),
            store.subscriptions(&at.company, order, None, WEBHOOKS_ASKED_MAX),
        )?;
        let webhooks = webhooks.subscriptions.iter();
        let named = webhooks.flat_map(|webhook| webhook.event_types.patterns());
        let seen = recent
            .iter()
            .map(ToString::to_string)
            .chain(named.map(ToString::to_string));
        Ok(Self::of(&catalog, seen, ticked))
    }

    fn of(catalog: &[CatalogType], seen: impl Iterator<Item = String>, ticked: &[String]) -> Self {
        let mut known: BTreeSet<String> = seen.collect();
        // What should not be used any more is offered to nobody who does not use it.
        let listed = catalog.iter().filter(|listed| !listed.deprecated);
        known.extend(listed.map(|listed| listed.name.to_string()));
        let wildcards = known.iter().filter_map(|name| {
            let (first, _) = name.split_once('.')?;
            Some(format!("{first}.*"))
        });
        let mut names: BTreeSet<String> = wildcards.collect();
        names.extend(known);
        let ticked: BTreeSet<&str> = ticked.iter().map(String::as_str).collect();
        names.retain(|name| name != ALL && !ticked.contains(name.as_str()));
        let room = CHOICES_MAX.saturating_sub(ticked.len());
        let meanings: HashMap<&str, &str> = catalog
            .iter()
            .map(|listed| (listed.name.as_str(), listed.description.as_str()))
            .collect();
        let offered = names.iter().take(room).map(|name| (name.as_str(), false));
        let chosen = ticked.iter().filter(|name| **name != ALL);
        let mut choices: Vec<Choice> = offered
            .chain(chosen.map(|name| (*name, true)))
            .map(|(name, ticked)| Choice {
                name: name.to_owned(),
                meaning: meanings
                    .get(name)
                    .map(|meaning| shortened(meaning, MEANING_CHARS_SHOWN)),
                ticked,
            })
            .collect();
        choices.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Self {
            all: ticked.contains(ALL),
            choices,
            left_out: names.len().saturating_sub(room),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_domain::event_type::EventType;

    fn picker(catalog: &[CatalogType], seen: &[&str], ticked: &[&str]) -> TypePicker {
        let owned =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(|&text| text.to_owned()).collect() };
        TypePicker::of(catalog, owned(seen).into_iter(), &owned(ticked))
    }

    fn listed(name: &str, deprecated: bool) -> CatalogType {
        CatalogType {
            name: EventType::parse(name).unwrap(),
            description: format!("{name}: {}", "x".repeat(200)),
            sample_payload: None,
            schema: None,
            deprecated,
        }
    }

    #[test]
    fn wildcards_stand_above_their_types() {
        let seen = ["client.deleted", "client.created", "ping", "*"];
        let picker = picker(&[], &seen, &["client.created"]);
        let choices = picker.choices.iter();
        let shown: Vec<_> = choices
            .map(|choice| (choice.name.as_str(), choice.ticked))
            .collect();
        assert_eq!(
            shown,
            [
                ("client.*", false),
                ("client.created", true),
                ("client.deleted", false),
                ("ping", false)
            ]
        );
        assert!(!picker.all && picker.left_out == 0);
    }

    #[test]
    fn the_catalog_says_what_types_mean() {
        let catalog = [
            listed("a.new", false),
            listed("b.old", true),
            listed("c.old", true),
        ];
        let picker = picker(&catalog, &["c.old"], &[]);
        let choices = picker.choices.iter();
        let shown: Vec<_> = choices
            .map(|choice| (choice.name.as_str(), choice.meaning.is_some()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a.*", false),
                ("a.new", true),
                ("c.*", false),
                ("c.old", true)
            ]
        );
        let meaning = picker.choices[1].meaning.as_ref().unwrap();
        assert!(meaning.starts_with("a.new: x") && meaning.chars().count() == 81);
    }

    #[test]
    fn what_is_ticked_is_always_there() {
        let many: Vec<String> = (0..1000).map(|n| format!("a.t{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let picker = picker(&[], &many, &["z.z", "*"]);
        assert!(picker.all);
        assert_eq!(picker.choices.len(), CHOICES_MAX - 1);
        assert_eq!(picker.choices.last().unwrap().name, "z.z");
        assert_eq!(picker.left_out, 1001 - (CHOICES_MAX - 2));
    }
}
