//! `/anomalies`: all of them, filtered, page by page.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use kilowatch_shared::{anomaly::Severity, stream::DetectorConfig};

use super::{
    chrome::{Choice, Chrome, offset},
    render,
    rows::AnomalyRow,
};
use crate::{
    http::{ApiError, Params},
    routes::anomalies::{AnomalyQuery, KNOWN, cursor_text, find_page},
    state::AppState,
};

#[derive(Template)]
#[template(path = "anomalies.html")]
struct AnomaliesPage {
    chrome: Chrome,
    detectors: Vec<Choice>,
    severities: Vec<Choice>,
    from: String,
    until: String,
    anomalies: Vec<AnomalyRow>,
    is_first: bool,
    /// Link to the first page of the filter.
    newest: String,
    /// Link to the next page; empty on the last one.
    older: String,
}

pub(super) async fn show_anomalies(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let params = Params::parse(request.query_string(), &KNOWN)?;
    let profile = state.profile(&params)?;
    let zone = offset(profile);
    let asked = AnomalyQuery::parse(&params, profile, zone)?;
    let page = find_page(&state, profile, &asked).await?;
    let kept: Vec<(&str, &str)> = params.given().filter(|(name, _)| *name != "cursor").collect();
    let chosen = |name| params.text(name);
    render(&AnomaliesPage {
        chrome: Chrome::gather(&state, profile, asked.filter.device.as_ref(), "Anomalies", "/anomalies").await?,
        detectors: profile
            .detectors
            .iter()
            .map(DetectorConfig::name)
            .map(|name| Choice::new(name, &name.replace('_', " "), chosen("detector")))
            .collect(),
        severities: [
            (Severity::Minor, "Minor and above"),
            (Severity::Warning, "Warning and above"),
            (Severity::Critical, "Critical only"),
        ]
        .map(|(severity, label)| Choice::new(severity.as_str(), label, chosen("severity")))
        .into(),
        from: chosen("from").unwrap_or("").to_owned(),
        until: chosen("until").unwrap_or("").to_owned(),
        is_first: asked.after.is_none(),
        newest: link(&kept, None),
        older: page.next.as_ref().map(|next| link(&kept, Some(&cursor_text(next)))).unwrap_or_default(),
        anomalies: page.anomalies.into_iter().map(|anomaly| AnomalyRow::new(anomaly, profile, zone)).collect(),
    })
}

fn link(kept: &[(&str, &str)], cursor: Option<&str>) -> String {
    let pairs: Vec<String> = kept
        .iter()
        .copied()
        .chain(cursor.map(|cursor| ("cursor", cursor)))
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .collect();
    if pairs.is_empty() { "/anomalies".to_owned() } else { format!("/anomalies?{}", pairs.join("&")) }
}

/// Percent-encodes everything that has a meaning in a query.
fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_with_an_ampersand_does_not_become_another_parameter() {
        assert_eq!(
            link(&[("device_id", "a&detector=x é")], Some("2007-01-01T00:00:00Z~00")),
            "/anomalies?device_id=a%26detector%3Dx%20%C3%A9&cursor=2007-01-01T00:00:00Z~00"
        );
    }
}
