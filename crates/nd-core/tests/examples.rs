//! The examples are run, and held to what they say they do.

#[allow(dead_code, reason = "`main` is for those who run the example")]
#[path = "../examples/embed_fakes.rs"]
mod embed_fakes;

#[tokio::test(start_paused = true)]
async fn the_engine_with_stand_ins_deploys_two_versions_and_says_why_the_third_failed()
-> Result<(), Box<dyn std::error::Error>> {
    let told = embed_fakes::embed().await?;
    let results: Vec<&str> = told.iter().map(String::as_str).filter(|line| line.starts_with("=>")).collect();
    assert_eq!(results, ["=> running, 1 of 1 ready, http://shop.localhost"; 3]);
    let why = "deployment failed, the old release serves on: ";
    assert!(told.iter().any(|line| line.starts_with(why) && line.contains("exit code 1")), "{told:#?}");
    Ok(())
}
