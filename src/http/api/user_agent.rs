//! What a `User-Agent` says of a device, for people.

use woothee::parser::Parser;

/// The program and the system that a user agent names, such as `Firefox on Linux`; a user agent of
/// another kind is shown by its first product.
pub(super) fn device(user_agent: Option<&str>) -> String {
    const UNKNOWN: &str = "Unknown device";
    let Some(user_agent) = user_agent else {
        return UNKNOWN.to_owned();
    };
    let parsed = Parser::new().parse(user_agent);
    // Of programs that aren't browsers the product says more than their kind.
    let is_known = |text: &&str| !["", "UNKNOWN", "HTTP Library"].contains(text);
    let program = parsed.as_ref().map(|found| found.name).filter(is_known);
    let system = parsed.as_ref().map(|found| found.os).filter(is_known);
    match (program, system) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        (None, _) => {
            let product = user_agent.split(['/', ' ', ';', '(']).next();
            let product: String = product.unwrap_or_default().chars().take(40).collect();
            if product.is_empty() {
                UNKNOWN.to_owned()
            } else {
                product
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_their_owners_know_them() {
        for (user_agent, shown) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
                "Chrome on Windows 10",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("okhttp/4.12.0", "okhttp"),
            ("curl/8.17.0", "curl"),
            ("python-requests/2.32.5", "python-requests"),
            ("", "Unknown device"),
            ("/\u{1}", "Unknown device"),
        ] {
            assert_eq!(device(Some(user_agent)), shown, "{user_agent}");
        }
        assert_eq!(device(None), "Unknown device");
        assert_eq!(device(Some(&"x".repeat(512))).len(), 40);
    }
}
