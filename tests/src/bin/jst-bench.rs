use anyhow::bail;
use jst_tests::bench;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let name = std::env::args().nth(1).unwrap_or_default();
    let report = match name.as_str() {
        "billing" => bench::billing::run().await?,
        "cpu" => bench::cpu::run().await?,
        "chaos" => bench::chaos::run().await?,
        "disk" => bench::disk::run().await?,
        "memory" => bench::memory::run().await?,
        "network" => bench::network::run().await?,
        "provision" => bench::provision::run().await?,
        "resize" => bench::resize::run().await?,
        _ => bail!(
            "tests/bench NAME, where NAME is: billing, chaos, cpu, disk, memory, network, provision, resize"
        ),
    };
    if !report.finish(&name)? {
        bail!("a bound was missed");
    }
    Ok(())
}
