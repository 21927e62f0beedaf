//! The form of a webhook: what somebody typed, and what it means or what is wrong with it. The
//! rules are the domain's, as in the API.

use tidings_domain::{
    event_type::EventTypePattern,
    people_text::check_people_text,
    secret::Secret,
    subscription::{
        DESCRIPTION_CHARS_MAX, EVENT_TYPES_MAX, EventTypes, InvalidRate, MaxPerSecond, Subscription,
    },
    target::TargetUrl,
};

use crate::{attempt_words::shortened, state::Portal, texts::Texts, visit::Fields};

/// Ticked boxes that are read: more than a page of ours has.
const TICKED_MAX: usize = 500;
/// Characters of a mistaken pattern that are repeated.
const PATTERN_CHARS_SHOWN: usize = 60;
/// Mistaken patterns that are repeated.
const PATTERNS_SHOWN: usize = 3;

/// What somebody typed.
#[derive(Clone, Debug, Default)]
pub(super) struct WebhookForm {
    pub(super) url: String,
    /// Boxes that were ticked.
    pub(super) ticked: Vec<String>,
    /// Further types and patterns, apart by white space or commas.
    pub(super) more_types: String,
    pub(super) description: String,
    pub(super) max_per_second: String,
    /// Never shown again.
    pub(super) secret: String,
    pub(super) enabled: bool,
}

/// What is wrong, by field, in sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mistakes {
    pub(super) url: Option<String>,
    pub(super) types: Option<String>,
    pub(super) description: Option<String>,
    pub(super) max_per_second: Option<String>,
    pub(super) secret: Option<String>,
}

/// What a form without mistakes means.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) url: TargetUrl,
    pub(super) event_types: EventTypes,
    pub(super) description: Option<String>,
    pub(super) max_per_second: Option<MaxPerSecond>,
    pub(super) secret: Option<Secret>,
    pub(super) enabled: bool,
}

impl Mistakes {
    pub(super) fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl WebhookForm {
    /// What was sent.
    pub(super) fn read(fields: &Fields) -> Self {
        let text = |name| fields.get(name).unwrap_or_default().to_owned();
        Self {
            url: text("url"),
            ticked: fields
                .all("type")
                .take(TICKED_MAX)
                .map(str::to_owned)
                .collect(),
            more_types: text("more_types"),
            description: text("description"),
            max_per_second: text("max_per_second"),
            secret: text("secret"),
            enabled: fields.has("enabled"),
        }
    }

    /// A webhook as it is.
    pub(super) fn of(subscription: &Subscription) -> Self {
        let patterns = subscription.event_types.patterns().iter();
        let rate = subscription.max_per_second.map(MaxPerSecond::get);
        Self {
            url: subscription.url.to_string(),
            ticked: patterns.map(ToString::to_string).collect(),
            more_types: String::new(),
            description: subscription.description.clone().unwrap_or_default(),
            max_per_second: rate.map(|rate| rate.to_string()).unwrap_or_default(),
            secret: String::new(),
            enabled: subscription.enabled,
        }
    }

    /// What it means; or everything that is wrong with it. Asks whether deliveries may go to the
    /// URL, unless that is `known` to be the present one.
    pub(super) async fn judge(
        &self,
        portal: &Portal,
        known: Option<&TargetUrl>,
        t: &'static Texts,
    ) -> Result<Wanted, Mistakes> {
        let mut mistakes = Mistakes::default();
        let url = keep(
            &mut mistakes.url,
            judge_url(portal, &self.url, known, t).await,
        );
        let event_types = keep(&mut mistakes.types, self.judge_types(t));
        let secret = keep(&mut mistakes.secret, self.judge_secret(t));
        let description = keep(&mut mistakes.description, self.judge_description(t));
        let max_per_second = keep(&mut mistakes.max_per_second, self.judge_rate(t));
        match (url, event_types, description, max_per_second, secret) {
            (
                Some(url),
                Some(event_types),
                Some(description),
                Some(max_per_second),
                Some(secret),
            ) => Ok(Wanted {
                url,
                event_types,
                description,
                max_per_second,
                secret,
                enabled: self.enabled,
            }),
            _ => Err(mistakes),
        }
    }

    /// Every pattern once, so that the bound is on what there is and not on what was typed.
    fn judge_types(&self, t: &'static Texts) -> Result<EventTypes, String> {
        let typed = self
            .more_types
            .split(|c: char| c.is_whitespace() || c == ',');
        let typed = typed.filter(|text| !text.is_empty());
        let ticked = self.ticked.iter().map(String::as_str);
        let (mut patterns, mut wrong) = (Vec::new(), Vec::new());
        for text in ticked.chain(typed) {
            match EventTypePattern::parse(text) {
                Ok(pattern) if patterns.contains(&pattern) => {}
                Ok(pattern) => patterns.push(pattern),
                Err(_) if wrong.len() < PATTERNS_SHOWN => wrong.push(text),
                Err(_) => {}
            }
            if patterns.len() > EVENT_TYPES_MAX {
                break;
            }
        }
        if !wrong.is_empty() {
            let shown = wrong
                .iter()
                .map(|text| shortened(text, PATTERN_CHARS_SHOWN));
            let shown: Vec<String> = shown.collect();
            return Err(t.webhooks.no_pattern(&shown.join(", ")));
        }
        EventTypes::new(patterns).map_err(|_| t.webhooks.how_many_types(EVENT_TYPES_MAX))
    }

    fn judge_description(&self, t: &'static Texts) -> Result<Option<String>, String> {
        let text = &self.description;
        check_people_text(text, DESCRIPTION_CHARS_MAX)
            .map_err(|rule| t.common.field_must(t.webhooks.description, &rule))?;
        Ok((!text.is_empty()).then(|| text.clone()))
    }

    fn judge_rate(&self, t: &'static Texts) -> Result<Option<MaxPerSecond>, String> {
        if self.max_per_second.is_empty() {
            return Ok(None);
        }
        let digits = self
            .max_per_second
            .bytes()
            .all(|byte| byte.is_ascii_digit());
        let number = self.max_per_second.parse().ok().filter(|_| digits);
        let rate = number.ok_or(InvalidRate).and_then(MaxPerSecond::new);
        rate.map(Some)
            .map_err(|rule| t.common.field_must(t.webhooks.max_per_second, &rule))
    }

    fn judge_secret(&self, t: &'static Texts) -> Result<Option<Secret>, String> {
        if self.secret.is_empty() {
            return Ok(None);
        }
        let secret = Secret::parse(&self.secret);
        secret
            .map(Some)
            .map_err(|rule| t.webhooks.about_secret(&rule))
    }
}

/// Reads a URL and asks whether deliveries may go there; or says what is wrong with it.
pub(super) async fn judge_url(
    portal: &Portal,
    text: &str,
    known: Option<&TargetUrl>,
    t: &'static Texts,
) -> Result<TargetUrl, String> {
    // What is there already is not refused because of how strict the server has become.
    if let Some(known) = known.filter(|known| known.as_str() == text) {
        return Ok(known.clone());
    }
    let url = TargetUrl::parse(text, portal.environment)
        .map_err(|rule| t.common.field_must(t.webhooks.url, &rule))?;
    match portal.outbound.check_target(&url).await {
        Ok(()) => Ok(url),
        Err(refusal) => Err(t.webhooks.refused_target(&refusal.0)),
    }
}

/// The value, or its mistake put where it belongs.
fn keep<T>(place: &mut Option<String>, judged: Result<T, String>) -> Option<T> {
    match judged {
        Ok(value) => Some(value),
        Err(mistake) => {
            *place = Some(mistake);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts;

    fn form(ticked: &[&str], more: &str) -> WebhookForm {
        WebhookForm {
            ticked: ticked.iter().map(|&text| text.to_owned()).collect(),
            more_types: more.to_owned(),
            ..WebhookForm::default()
        }
    }

    #[test]
    fn types_come_from_boxes_and_text() {
        let t = texts::default();
        let types = form(&["a.b", "*"], "A.B, client.*\n x.y,,")
            .judge_types(t)
            .unwrap();
        let names: Vec<String> = types.patterns().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a.b", "*", "client.*", "x.y"]);
        let none = form(&[], " , ").judge_types(t).unwrap_err();
        assert!(none.contains("100"), "{none}");
        let wrong = form(&["a.b"], "a..b <b>").judge_types(t).unwrap_err();
        assert!(
            wrong.contains("a..b, <b>") && wrong.contains("client.*"),
            "{wrong}"
        );
    }

    #[test]
    fn too_many_types_are_refused_and_repeated_ones_are_not() {
        let t = texts::default();
        let many: Vec<String> = (0..101).map(|n| format!("t.n{n}")).collect();
        assert!(form(&[], &many.join(" ")).judge_types(t).is_err());
        assert!(form(&[], &many[1..].join(" ")).judge_types(t).is_ok());
        assert!(form(&[], &"a.b ".repeat(500)).judge_types(t).is_ok());
    }

    #[test]
    fn a_rate_is_a_plain_number() {
        let t = texts::default();
        let rate = |text: &str| {
            let form = WebhookForm {
                max_per_second: text.to_owned(),
                ..WebhookForm::default()
            };
            form.judge_rate(t)
        };
        assert_eq!(rate(""), Ok(None));
        assert_eq!(rate("50").unwrap().map(MaxPerSecond::get), Some(50));
        for bad in [
            "0",
            "10001",
            "1.5",
            "+5",
            "-1",
            "many",
            "99999999999999999999",
        ] {
            assert!(rate(bad).unwrap_err().contains("10000"), "{bad}");
        }
    }
}
