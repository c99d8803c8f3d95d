//! Signing up and in, the second factor, passwords and addresses.

use jst_tests::Platform;

#[tokio::test]
async fn a_customer_signs_up_confirms_and_signs_in() {
    let platform = Platform::start().await;
    let client = platform.customer("lin.wen@example.com").await;
    let page = client.get("/security").await.expect(200);
    assert!(page.body.contains("lin.wen@example.com"), "{}", page.body);
    for path in [
        "/team",
        "/ssh-keys",
        "/api-tokens",
        "/activity",
        "/security/two-factor",
        "/security/password",
        "/security/email",
        "/",
    ] {
        client.get(path).await.expect(200);
        client.get_in(path, "zh-CN").await.expect(200);
    }
    platform.stop().await;
}
