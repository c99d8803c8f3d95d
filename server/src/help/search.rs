//! Searching the articles.  There are few, so that all of them are looked through.

use super::Article;

/// Longer questions are cut: nobody types them, and they cost.
const MOST_WORDS: usize = 8;

/// Letters before and after what was found.
const AROUND: usize = 60;

pub struct Hit<'a> {
    pub article: &'a Article,
    /// Where the first word stands in the text, in three parts: what is before, the word, and what follows.  Absent
    /// where it stands in the title or the summary only.
    pub excerpt: Option<[String; 3]>,
}

/// Articles that have all words of a question, the best first.  Without words there are none.
pub fn search<'a>(articles: &'a [Article], question: &str) -> Vec<Hit<'a>> {
    let words: Vec<String> = question.split_whitespace().take(MOST_WORDS).map(str::to_lowercase).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let mut hits: Vec<(u32, Hit<'a>)> = articles.iter().filter_map(|article| hit(article, &words)).collect();
    // Equals stay in the order of the articles.
    hits.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    hits.into_iter().map(|(_, hit)| hit).collect()
}

/// A word in the title counts most, then one in the summary or a heading, then how often it is in the text.
fn hit<'a>(article: &'a Article, words: &[String]) -> Option<(u32, Hit<'a>)> {
    let text = article.text.to_lowercase();
    let title = article.head.title.to_lowercase();
    let mut second = article.head.summary.to_lowercase();
    for section in &article.sections {
        second.push('\n');
        second.push_str(&section.title.to_lowercase());
    }
    let mut weight = 0;
    for word in words {
        let times = text.matches(word.as_str()).count().min(9) as u32;
        let own = u32::from(title.contains(word.as_str())) * 100
            + u32::from(second.contains(word.as_str())) * 20
            + times;
        if own == 0 {
            return None;
        }
        weight += own;
    }
    Some((weight, Hit { article, excerpt: excerpt(&article.text, &words[0]) }))
}

fn excerpt(text: &str, word: &str) -> Option<[String; 3]> {
    let letters: Vec<char> = text.chars().collect();
    let (start, end) =
        (0..letters.len()).find_map(|start| Some((start, start + length_of(word, &letters[start..])?)))?;
    let part = |from: usize, to: usize| -> String {
        let part: String = letters[from..to].iter().collect();
        part.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let spaced = |at: usize| letters.get(at).is_some_and(|letter| letter.is_whitespace());
    let mut before = part(start.saturating_sub(AROUND), start);
    let mut after = part(end, (end + AROUND).min(letters.len()));
    if start > 0 && spaced(start - 1) {
        before.push(' ');
    }
    if spaced(end) {
        after.insert(0, ' ');
    }
    if start > AROUND {
        before.insert(0, '…');
    }
    if end + AROUND < letters.len() {
        after.push('…');
    }
    Some([before, part(start, end), after])
}

/// How many letters at the beginning are this word, which is in small letters: a large one may have two of them.
fn length_of(word: &str, letters: &[char]) -> Option<usize> {
    let mut left = word.chars().peekable();
    for (index, letter) in letters.iter().enumerate() {
        if left.peek().is_none() {
            return Some(index);
        }
        if !letter.to_lowercase().all(|small| left.next() == Some(small)) {
            return None;
        }
    }
    left.peek().is_none().then_some(letters.len())
}
