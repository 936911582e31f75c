#[tokio::main]
async fn main() {
    let a: Vec<String> = std::env::args().collect();
    let c = mongodb::Client::with_uri_str(&a[1]).await.unwrap();
    println!(
        "{}",
        transload::shop::load(&c, "shop", &transload::shop::Shop { seed: 1, scale: a[2].parse().unwrap() })
            .await
            .unwrap()
    );
}
