//! Members, invitations and moving between tenants.

use jst_tests::platform::PASSWORD;
use jst_tests::{Client, Platform};
use serde_json::{Value, json};

/// The owner's API and the second person's browser, which has joined with this role.
async fn join(platform: &Platform, owner: &Client, email: &str, role: &str) -> Client {
    owner.post("/team/invitations", &[("email", email), ("role", role)]).await.expect(303);
    let invitation = platform.token_in_mail(email, "/invitation?token=").await;
    let member = platform.customer(email).await;
    let page = member.get(&format!("/invitation?token={invitation}")).await.expect(200);
    assert!(page.body.contains("Join the team"), "{}", page.body);
    member.post("/invitation", &[("token", &invitation)]).await.expect(303);
    member
}

async fn members(platform: &Platform, token: &str) -> Vec<Value> {
    platform.api(token).get("/api/v1/team/members").await.expect(200).json()["items"]
        .as_array()
        .unwrap()
        .clone()
}

fn id_of(members: &[Value], email: &str) -> String {
    let member = members.iter().find(|member| member["email"] == email).expect("a member");
    member["user_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn where_sign_up_is_closed_only_the_invited_come_in() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    owner.post("/team/invitations", &[("email", "guest@example.com"), ("role", "viewer")]).await.expect(303);
    let admin = platform.api(&platform.admin_token().await);
    admin.patch("/api/v1/admin/settings", json!({ "sign_up_open": false })).await.expect(200);
    let stranger = platform.client();
    assert!(stranger.get("/sign-up").await.expect(200).body.contains("by invitation only"));
    // Who is invited, who has an account and who is a stranger: the answers are the same, and so are the pages behind.
    let mut answers = Vec::new();
    for email in ["stranger@example.com", "owner@example.com", "Guest@example.com"] {
        let answer = stranger.post("/sign-up", &[("email", email), ("password", PASSWORD)]).await;
        let page = stranger.get(&answer.location).await;
        answers.push((answer.status, answer.location, answer.body, page.body));
    }
    assert_eq!(answers[0].0, 303);
    assert!(answers[0].3.contains("If this address was invited"), "{}", answers[0].3);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let accounts: Vec<String> =
        sqlx::query_scalar("SELECT email FROM users WHERE NOT is_admin ORDER BY email")
            .fetch_all(platform.app().db.platform())
            .await
            .unwrap();
    assert_eq!(accounts, ["guest@example.com", "owner@example.com"]);
    assert!(platform.mails_to("stranger@example.com").await.is_empty());
    platform.token_in_mail("guest@example.com", "/verify?token=").await;
    platform.stop().await;
}

#[tokio::test]
async fn viewers_are_not_told_their_colleagues_addresses() {
    let platform = Platform::start().await;
    let owner = platform.customer("boss@example.com").await;
    let viewer = join(&platform, &owner, "viewer@example.com", "viewer").await;
    let operator = join(&platform, &owner, "operator@example.com", "operator").await;
    owner.post("/team/name", &[("name", "Studio")]).await.expect(303);
    owner.post("/team/invitations", &[("email", "guest@example.com"), ("role", "viewer")]).await.expect(303);
    owner.post("/security/email", &[("email", "boss2@example.com"), ("current_password", PASSWORD)]).await;
    let owners_token = owner.make_token(&["read"]).await;
    let viewers_token = viewer.make_token(&["read"]).await;
    let pages = ["/team", "/activity", "/api-tokens", "/billing", "/webhooks"];
    let calls =
        ["team/members", "team/invitations", "activity", "tokens", "billing/payments", "billing/entries"];
    let addresses = ["boss@example.com", "boss2@example.com", "operator@example.com", "guest@example.com"];
    let read = async |browser: &Client, token: &str| {
        let mut all = String::new();
        for page in pages {
            all += &browser.get(page).await.expect(200).body;
        }
        let api = platform.api(token);
        for call in calls {
            all += &api.get(&format!("/api/v1/{call}?limit=100")).await.expect(200).body;
        }
        all
    };
    let told = read(&viewer, &viewers_token).await;
    for address in addresses {
        assert!(!told.contains(address), "a viewer is told {address}");
    }
    assert!(told.contains("viewer@example.com") && told.contains("A team member was invited"), "{told}");
    // Those who work with others see them.
    let told = read(&owner, &owners_token).await;
    for address in addresses {
        assert!(told.contains(address), "an owner is told {address}");
    }
    assert!(operator.get("/team").await.body.contains("guest@example.com"));
    platform.stop().await;
}

#[tokio::test]
async fn an_invitation_is_for_one_person_and_one_time() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    owner
        .post("/team/invitations", &[("email", "guest@example.com"), ("role", "operator")])
        .await
        .expect(303);
    let again = owner.post("/team/invitations", &[("email", "Guest@example.com"), ("role", "viewer")]).await;
    assert_eq!(again.status, 422, "one open invitation for each address");
    for (email, role) in
        [("", "viewer"), ("nonsense", "viewer"), ("owner@example.com", "viewer"), ("x@example.com", "root")]
    {
        owner.post("/team/invitations", &[("email", email), ("role", role)]).await.expect(422);
    }
    let invitation = platform.token_in_mail("guest@example.com", "/invitation?token=").await;
    let path = format!("/invitation?token={invitation}");
    let page = platform.client().get(&path).await.expect(200);
    assert!(page.body.contains("/sign-up?next="), "{}", page.body);
    // Somebody to whom the link was passed on.
    let other = platform.customer("other@example.com").await;
    other.get(&path).await.expect(200);
    other.post("/invitation", &[("token", &invitation)]).await.expect(403);
    let guest = platform.customer("guest@example.com").await;
    let accepts = [("token", invitation.as_str())];
    let answers = futures::future::join_all((0..4).map(|_| guest.post("/invitation", &accepts))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 303).count(), 1, "{answers:?}");
    platform.client().get(&path).await.expect(403);
    let team = guest.get("/team").await.expect(200);
    assert!(team.body.contains("owner@example.com"), "{}", team.body);
    platform.stop().await;
}

#[tokio::test]
async fn a_withdrawn_or_expired_invitation_does_not_work() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    let api = platform.api(&owner.make_token(&["write", "members"]).await);
    let invite = |email: &'static str| {
        let api = api.clone();
        async move {
            let body = serde_json::json!({ "email": email, "role": "viewer" });
            let answer = api.post("/api/v1/team/invitations", body).await.expect(201);
            answer.json()["id"].as_str().unwrap().to_owned()
        }
    };
    let id = invite("guest@example.com").await;
    let guest = platform.customer("other@example.com").await;
    let theirs = platform.api(&guest.make_token(&["write", "members"]).await);
    theirs.delete(&format!("/api/v1/team/invitations/{id}")).await.expect(404);
    let link = platform.token_in_mail("guest@example.com", "/invitation?token=").await;
    api.delete(&format!("/api/v1/team/invitations/{id}")).await.expect(204);
    api.delete(&format!("/api/v1/team/invitations/{id}")).await.expect(404);
    let guest = platform.customer("guest@example.com").await;
    guest.post("/invitation", &[("token", &link)]).await.expect(403);

    invite("guest@example.com").await;
    let link = platform.token_in_mail("guest@example.com", "/invitation?token=").await;
    sqlx::query("UPDATE invitations SET expires_at = now()")
        .execute(platform.app().db.platform())
        .await
        .unwrap();
    guest.post("/invitation", &[("token", &link)]).await.expect(403);
    // An expired one makes room for another.
    invite("guest@example.com").await;
    platform.stop().await;
}

#[tokio::test]
async fn roles_limit_what_members_do() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    let viewer = join(&platform, &owner, "viewer@example.com", "viewer").await;
    let operator = join(&platform, &owner, "operator@example.com", "operator").await;
    let key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti lin@example.com";
    viewer.get("/team").await.expect(200);
    viewer.post("/ssh-keys", &[("public_key", key)]).await.expect(403);
    operator.post("/ssh-keys", &[("public_key", key)]).await.expect(303);
    for member in [&viewer, &operator] {
        member.post("/team/name", &[("name", "mine")]).await.expect(403);
        member.post("/team/invitations", &[("email", "x@example.com"), ("role", "owner")]).await.expect(403);
    }
    let api = owner.make_token(&["read", "write"]).await;
    let list = members(&platform, &api).await;
    assert_eq!(list.len(), 3);
    let owner_id = id_of(&list, "owner@example.com");
    let operator_id = id_of(&list, "operator@example.com");
    operator.post(&format!("/team/members/{operator_id}/role"), &[("role", "owner")]).await.expect(403);
    operator.post(&format!("/team/members/{owner_id}/remove"), &[]).await.expect(403);
    owner.post(&format!("/team/members/{operator_id}/role"), &[("role", "king")]).await.expect(422);
    owner.post(&format!("/team/members/{operator_id}/role"), &[("role", "viewer")]).await.expect(303);
    let other_key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8Gq4b8pXxYtY0Zr4s2O7p8i1tWmT5Qx0b6q8xqkq3H x@example.com";
    operator.post("/ssh-keys", &[("public_key", other_key)]).await.expect(403);
    platform.stop().await;
}

#[tokio::test]
async fn another_tenants_members_do_not_exist() {
    let platform = Platform::start().await;
    let mine = platform.customer("mine@example.com").await;
    let theirs = platform.customer("theirs@example.com").await;
    let (my_token, their_token) =
        (mine.make_token(&["write", "members"]).await, theirs.make_token(&["write", "members"]).await);
    let their_id = id_of(&members(&platform, &their_token).await, "theirs@example.com");
    let api = platform.api(&my_token);
    let path = format!("/api/v1/team/members/{their_id}");
    api.patch(&path, serde_json::json!({ "role": "viewer" })).await.expect(404);
    api.delete(&path).await.expect(404);
    mine.post(&format!("/team/members/{their_id}/remove"), &[]).await.expect(404);
    let account = platform.api(&their_token).get("/api/v1/account").await.expect(200).json();
    let tenant = account["tenant"]["id"].as_str().unwrap();
    mine.post("/tenant", &[("tenant", tenant)]).await.expect(404);
    mine.post("/tenant", &[("tenant", "ten_00")]).await.expect(404);
    mine.post("/tenant", &[]).await.expect(404);
    assert!(!mine.get("/team").await.body.contains("theirs@example.com"));
    platform.stop().await;
}

#[tokio::test]
async fn the_last_owner_stays() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    let second = join(&platform, &owner, "second@example.com", "owner").await;
    let api = owner.make_token(&["read", "write"]).await;
    let list = members(&platform, &api).await;
    let (one, two) = (id_of(&list, "owner@example.com"), id_of(&list, "second@example.com"));
    // Two owners who step down at the same moment: one of them has to stay.
    let (one_path, two_path) = (format!("/team/members/{one}/role"), format!("/team/members/{two}/role"));
    let down = [("role", "viewer")];
    let (a, b) = tokio::join!(owner.post(&one_path, &down), second.post(&two_path, &down));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 409]);
    let owners: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM memberships JOIN tenants ON tenants.id = tenant_id WHERE role = 'owner' AND name = 'owner'",
    )
    .fetch_one(platform.app().db.platform())
    .await
    .unwrap();
    assert_eq!(owners, 1);
    let last = if a.status == 409 { &owner } else { &second };
    last.post("/team/leave", &[]).await.expect(409);
    platform.stop().await;
}

#[tokio::test]
async fn who_leaves_or_is_removed_has_no_way_back_in() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    let member = join(&platform, &owner, "member@example.com", "operator").await;
    let leftover = member.make_token(&["read", "write"]).await;
    let api = owner.make_token(&["write", "members"]).await;
    let id = id_of(&members(&platform, &api).await, "member@example.com");
    platform.api(&leftover).get("/api/v1/team/members").await.expect(200);
    platform.api(&api).delete(&format!("/api/v1/team/members/{id}")).await.expect(204);
    platform.api(&leftover).get("/api/v1/team/members").await.expect(401);
    member.get("/team").await.expect(303);
    // Invited again, the old token stays dead.
    owner.post("/team/invitations", &[("email", "member@example.com"), ("role", "viewer")]).await.expect(303);
    let invitation = platform.token_in_mail("member@example.com", "/invitation?token=").await;
    member.sign_in("member@example.com", jst_tests::platform::PASSWORD).await;
    member.post("/invitation", &[("token", &invitation)]).await.expect(303);
    platform.api(&leftover).get("/api/v1/team/members").await.expect(401);
    // Leaving leads to one's own tenant.
    member.post("/team/leave", &[]).await.expect(303);
    let team = member.get("/team").await.expect(200);
    assert!(!team.body.contains("owner@example.com"), "{}", team.body);
    platform.stop().await;
}

#[tokio::test]
async fn members_of_several_tenants_switch_between_them() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    owner.post("/team/name", &[("name", "Lin Wen Studio")]).await.expect(303);
    let member = join(&platform, &owner, "member@example.com", "operator").await;
    let team = member.get("/team").await.expect(200);
    assert!(team.body.contains("Lin Wen Studio"));
    let own = team.body.split("name=\"tenant\" value=\"").nth(1).expect("the other tenant");
    let own = own.split('"').next().unwrap();
    let answer = member.post("/tenant", &[("tenant", own), ("next", "/team")]).await.expect(303);
    assert_eq!(answer.location, "/team");
    assert!(!member.get("/team").await.body.contains("owner@example.com"));
    for name in ["", "  ", "a\u{202e}b", &"x".repeat(101)] {
        owner.post("/team/name", &[("name", name)]).await.expect(422);
    }
    platform.stop().await;
}
