//! What the `User-Agent` tells about the other side.

/// The traits of a client that change how it is read and answered (GFD.223, versioning). Two agents that compare equal get the same bytes, so it can be part of a cache's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Agent {
    /// It is a client of the rOCCI family: strings come with Ruby's escapes.
    pub rocci: bool,
    /// It names `OCCI/1.1`.
    pub occi_1_1: bool,
    /// It names `OCCI/1.2`.
    pub occi_1_2: bool,
    /// Every version that it names is newer than OCCI 1.2: the answer is 501.
    pub too_new: bool,
}

impl Agent {
    /// Reads the value of a `User-Agent` header; an empty one is an agent without traits.
    pub fn from_user_agent(user_agent: &str) -> Self {
        let mut agent = Self {
            rocci: user_agent.contains("rOCCI"),
            ..Self::default()
        };
        let mut lowest = None;
        for version in versions(user_agent) {
            agent.occi_1_1 |= version == (1, 1);
            agent.occi_1_2 |= version == (1, 2);
            lowest = Some(lowest.map_or(version, |least: (u32, u32)| least.min(version)));
        }
        agent.too_new = lowest.is_some_and(|version| version > (1, 2));
        agent
    }

    /// Whether JSON is kept out of the `Accept` header of answers, because the client would switch to it and fail
    /// (rOCCI-api 4 picks JSON wherever it sees it).
    pub fn prefers_text(&self) -> bool {
        self.rocci || self.occi_1_1
    }
}

/// The versions in every `OCCI/x.y` that stands as a word of its own.
fn versions(user_agent: &str) -> impl Iterator<Item = (u32, u32)> {
    user_agent.match_indices("OCCI/").filter_map(|(at, token)| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if user_agent[..at].ends_with(is_word) {
            return None;
        }
        let (major, rest) = user_agent[at + token.len()..].split_once('.')?;
        let minor_len = rest.bytes().take_while(u8::is_ascii_digit).count();
        if rest[minor_len..].starts_with(is_word) {
            return None;
        }
        Some((number(major)?, number(&rest[..minor_len])?))
    })
}

/// Digits as a number; one too long to fit is as large as can be.
fn number(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_version_decides_whether_an_agent_is_too_new() {
        for (user_agent, too_new) in [
            ("", false),
            ("curl/8.0", false),
            ("x OCCI/1.0", false),
            ("x OCCI/1.2", false),
            ("x OCCI/1.3", true),
            ("x OCCI/2.0 OCCI/1.1", false),
            ("x OCCI/99999999999.0", true),
            ("x rOCCI/9.9", false),
            ("x OCCI/9.9x", false),
            ("OCCI/", false),
        ] {
            assert_eq!(Agent::from_user_agent(user_agent).too_new, too_new, "{user_agent}");
        }
    }

    #[test]
    fn the_traits_of_rocci_are_seen() {
        let agent = Agent::from_user_agent("rOCCI-core/4.3.6 rOCCI-api/4.3.9 OCCI/1.1 ruby-x86_64-linux/2.3.3p222");
        assert_eq!((agent.rocci, agent.occi_1_1, agent.occi_1_2), (true, true, false));
        assert!(agent.prefers_text());
        assert!(!Agent::from_user_agent("occi/0.1 OCCI/1.2").prefers_text());
    }
}
