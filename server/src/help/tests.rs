use super::*;
use std::collections::BTreeSet;

fn article(body: &str) -> Article {
    let head = "+++\ntitle = \"A title\"\nsummary = \"What it says.\"\ntopic = \"start\"\norder = 1\n+++\n";
    Article::parse("a", &format!("{head}{body}")).unwrap()
}

fn names(language: Language) -> Vec<(String, Topic, u32)> {
    articles(language).iter().map(|a| (a.name.clone(), a.head.topic, a.head.order)).collect()
}

#[test]
fn both_languages_have_the_same_articles_with_the_same_parts() {
    let english = names(Language::English);
    assert!(english.len() >= 14, "{english:?}");
    assert_eq!(english, names(Language::Chinese));
    assert_eq!(english.len(), Files::iter().count() / 2, "an article cannot be read");
    let orders: BTreeSet<u32> = english.iter().map(|(_, _, order)| *order).collect();
    assert_eq!(orders.len(), english.len(), "two articles have one place");
    for (one, other) in articles(Language::English).iter().zip(articles(Language::Chinese)) {
        assert_eq!(one.sections.len(), other.sections.len(), "{}", one.name);
        for part in ["<tr>", "<pre", "<a href"] {
            let count = |article: &Article| article.html.matches(part).count();
            assert_eq!(count(one), count(other), "{part} in {}", one.name);
        }
    }
    for topic in Topic::ALL {
        assert!(english.iter().any(|(_, have, _)| *have == topic), "{topic:?} has no article");
    }
}

#[test]
fn links_between_articles_lead_somewhere() {
    for language in Language::ALL {
        let names: BTreeSet<&str> = articles(language).iter().map(|article| article.name.as_str()).collect();
        for article in articles(language) {
            for link in article.html.split("href=\"/help/").skip(1) {
                let name = link.split(['"', '#']).next().unwrap();
                assert!(names.contains(name), "{} leads to {name}", article.name);
            }
            assert!(!article.html.contains("style="), "{}: the policy of the pages forbids it", article.name);
        }
    }
}

#[test]
fn an_article_is_rendered_with_places_to_link_to() {
    let made =
        article("## One *thing*\n\nText `code`.\n\n## Another\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n");
    let sections: Vec<(&str, &str)> =
        made.sections.iter().map(|section| (section.id.as_str(), section.title.as_str())).collect();
    assert_eq!(sections, [("s1", "One thing"), ("s2", "Another")]);
    assert!(made.html.contains("<h2 id=\"s2\">Another</h2>"), "{}", made.html);
    assert!(made.html.contains("<th scope=\"col\" class=\"end num\">b</th>"), "{}", made.html);
    assert!(
        made.html.contains("<thead>") && made.html.contains("<td class=\"end num\">2</td>"),
        "{}",
        made.html
    );
}

#[test]
fn html_in_an_article_is_text() {
    let made = article("<script>alert(1)</script>\n\nA <b>word</b>.\n");
    assert!(!made.html.contains("<script") && !made.html.contains("<b>"), "{}", made.html);
    for wrong in ["", "no head", "+++\ntitle = 1\n+++\nx", "+++\ntitle = \"x\"\n+++\nx"] {
        assert!(Article::parse("a", wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_is_searched_is_found_and_the_best_comes_first() {
    let found = |language, question: &str| -> Vec<String> {
        search(articles(language), question).iter().map(|hit| hit.article.name.clone()).collect()
    };
    assert_eq!(found(Language::English, "ssh key")[0], "ssh-keys");
    assert_eq!(found(Language::English, "TRIAL")[0], "trial");
    assert_eq!(found(Language::Chinese, "内存")[0], "memory");
    assert_eq!(found(Language::English, "no-such-word ssh"), [] as [String; 0]);
    assert_eq!(found(Language::English, "  "), [] as [String; 0]);
    let long = "ß<&\u{202e}".repeat(10_000);
    assert_eq!(found(Language::English, &long), [] as [String; 0]);
    let made = [article("Before the İstanbul word and after it.")];
    let [before, word, after] = search(&made, "WORD")[0].excerpt.clone().unwrap();
    assert_eq!(
        (before.as_str(), word.as_str(), after.as_str()),
        ("Before the İstanbul ", "word", " and after it.")
    );
    let [_, word, _] = search(&made, "i\u{307}stanbul").remove(0).excerpt.unwrap();
    assert_eq!(word, "İstanbul");
}
