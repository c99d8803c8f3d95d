use anyhow::bail;
use jst_tests::bench;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().cloned().unwrap_or_default();
    if name == "bare-page" {
        return bench::pages::serve_bare(&arguments[1..]).await;
    }
    let report = match name.as_str() {
        "billing" => bench::billing::run().await?,
        "cpu" => bench::cpu::run().await?,
        "chaos" => bench::chaos::run().await?,
        "disk" => bench::disk::run().await?,
        "memory" => bench::memory::run().await?,
        "network" => bench::network::run().await?,
        "pages" => bench::pages::run().await?,
        "provision" => bench::provision::run().await?,
        "resize" => bench::resize::run().await?,
        "strangers" => bench::strangers::run().await?,
        "trials" => bench::trials::run(),
        _ => bail!(
            "tests/bench NAME, where NAME is: billing, chaos, cpu, disk, memory, network, pages, provision, resize, strangers, trials"
        ),
    };
    if !report.finish(&name)? {
        bail!("a bound was missed");
    }
    Ok(())
}
