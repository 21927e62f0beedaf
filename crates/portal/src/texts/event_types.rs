//! What the pages about the catalog of event types say.

#[derive(Debug)]
pub(crate) struct EventTypeTexts {
    pub(crate) title: &'static str,
    pub(crate) why: &'static str,
    pub(crate) name: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) deprecated: &'static str,
    pub(crate) deprecated_advice: &'static str,
    pub(crate) none: &'static str,
    pub(crate) none_advice: &'static str,
    pub(crate) sample: &'static str,
    pub(crate) no_sample: &'static str,
    pub(crate) schema: &'static str,
    pub(crate) no_schema: &'static str,
    pub(crate) cut: &'static str,
    pub(crate) see_events: &'static str,
    pub(crate) subscribe: &'static str,
    pub(crate) previous: &'static str,
    pub(crate) next: &'static str,
}

pub(super) const ENGLISH: EventTypeTexts = EventTypeTexts {
    title: "Event types",
    why: "What the platform says it publishes. Other types may be published, too; webhooks take any.",
    name: "Type",
    meaning: "What it means",
    deprecated: "Deprecated",
    deprecated_advice: "This type should not be used any more.",
    none: "The catalog is empty.",
    none_advice: "The platform fills it through the API: PUT /api/v1/event-types/{name}.",
    sample: "Sample payload",
    no_sample: "There is no sample.",
    schema: "Schema of the payload",
    no_schema: "No schema: a payload of this type may be any JSON object.",
    cut: "There is more than is shown here; the API has all of it.",
    see_events: "Events of this type",
    subscribe: "Add a webhook",
    previous: "Previous page",
    next: "Next page",
};
