//! Storm, recovery, calm, and over again; and what is counted at the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use fastrand::Rng;
use futures_util::future::join_all;
use oauth_test_server::{Client, Counters, Endpoint, TestServer};
use oauth_tokens::{PoolStatus, TokenPool};
use tests::{redis::RedisServer, support::TempFolder};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

use super::{
    calls::{Stage, caller, recovers},
    fleets::{APP, FLEETS, PROCESSES, USERS, fleet, fleet_lanes, user_lanes},
    footprint::Footprint,
    lanes::{ApiClient, CROWDED, ROOM, STEADY, Tenants, http, tenant, tenants},
    scout::scout,
    storm::Storms,
    tally::Tally,
    way_out::{WINDOW, WayOut},
    weather::Weather,
};

const CALLERS: usize = 2000;
/// An exchange that began in the storm (10 s), the negative cache after it (10 s), and a little for a busy machine.
const RECOVERY: Duration = Duration::from_secs(25);
/// The attempt of an exchange that is not repeated, as that with a refresh token, has all of its 10 s; and a little for a busy
/// machine.
const ATTEMPT: Duration = Duration::from_secs(12);
/// What an authorization server is asked at a time by one process: the default of `AuthorizationServer`.
const IN_FLIGHT: usize = 64;
/// What one client asks in five seconds, at most: three attempts of each exchange; pauses of 750 ms at least between those that
/// callers wait for, of nothing at least between the first ones in the background; and tokens that live for a second.
const ASKED_IN_A_WINDOW: usize = 40;
/// In an outage, once it is noticed: so many requests in a second, all clients of a process together.
const ASKED_IN_AN_OUTAGE: f64 = 10.0;
/// How many processes ask the hasty, the steady and the personal server.
const ASKING: [usize; 3] = [1 + PROCESSES, 1, PROCESSES];
const GROWTH: u64 = 32 << 20;
/// The test servers forget no token: so much for each.
const REMEMBERED: u64 = 1 << 10;

pub(crate) struct World {
    stage: Arc<Stage>,
    storms: Storms,
    ways_out: [WayOut; 3],
    crowded: TokenPool<String>,
    folder: TempFolder,
    /// After a storm, and after one that ended in an outage.
    slowest_recovery: [Duration; 2],
    /// The most that was resident after the first rounds, and after the last.
    resident: Vec<u64>,
}

impl World {
    /// Whether all was well.
    pub(crate) async fn run(span: Duration, seed: u64) -> bool {
        let mut rng = Rng::with_seed(seed);
        let before = Footprint::now();
        let mut world = Self::build(&mut rng).await;
        let callers: Vec<_> =
            (0..CALLERS).map(|_| tokio::spawn(caller(Arc::clone(&world.stage), rng.u64(..)))).collect();
        let began = Instant::now();
        while began.elapsed() < span {
            world.round(&mut rng).await;
        }
        world.end(callers, before).await
    }

    async fn build(rng: &mut Rng) -> Self {
        let names = std::iter::once("m2m".to_owned()).chain((0..CROWDED.max(STEADY)).map(tenant));
        let clients: Vec<_> =
            names.chain((0..FLEETS).map(fleet)).chain((0..PROCESSES).map(scout)).map(client).chain([app()]).collect();
        let [hasty, steady, personal] = [start(&clients).await, start(&clients).await, start(&clients).await];
        let stranger = TestServer::start().await.expect("ports");
        let redis = spawn_blocking(RedisServer::start).await.ok();
        let (folder, api) = (TempFolder::new(), ApiClient::new());
        let ways_out = [(); 3].map(|()| WayOut::new(http()));
        let Tenants { mut lanes, crowded } = tenants((&hasty, &ways_out[0]), (&steady, &ways_out[1]), &api);
        let mut scouts = Vec::new();
        for (more, theirs) in [
            fleet_lanes((&hasty, &ways_out[0]), redis.as_ref(), &folder, &api),
            user_lanes((&personal, &ways_out[2]), &folder, &api).await,
        ] {
            lanes.extend(more);
            scouts.extend(theirs);
        }
        let (weather, tally, over) = (Weather::default(), Tally::default(), AtomicBool::new(false));
        let stage = Arc::new(Stage { lanes, scouts, stranger, weather, tally, over });
        let storms = Storms::new([hasty, steady, personal], redis, rng.fork());
        Self { stage, storms, ways_out, crowded, folder, slowest_recovery: [Duration::ZERO; 2], resident: Vec::new() }
    }

    async fn round(&mut self, rng: &mut Rng) {
        let span = Duration::from_millis(rng.u64(1500..4000));
        self.storms.rage(&self.stage, span).await;
        let has_outage = rng.bool();
        if has_outage {
            self.outage().await;
        }
        self.storms.clear(&self.stage.tally);
        self.wait_for_the_hung().await;
        let slowest = self.recover().await;
        let longest = &mut self.slowest_recovery[usize::from(has_outage)];
        *longest = slowest.max(*longest);
        self.calm(rng).await;
        self.look_at_stranger();
        let keys = self.crowded.status().keys;
        self.stage.tally.expect(keys <= ROOM, format_args!("{keys} keys in a pool for {ROOM}"));
        self.resident.extend(Footprint::now().resident_bytes);
    }

    async fn outage(&mut self) {
        self.storms.black_out(&self.stage.tally);
        self.storms.revoke_steady(&self.stage);
        // By then it is noticed.
        sleep(Duration::from_millis(1500)).await;
        let counts = || self.ways_out.each_ref().map(|way_out| way_out.traffic().total);
        let (before, began) = (counts(), Instant::now());
        sleep(Duration::from_millis(2500)).await;
        for ((before, after), asking) in before.into_iter().zip(counts()).zip(ASKING) {
            let rate = (after - before) as f64 / began.elapsed().as_secs_f64();
            let what = format_args!("a server that is down is asked {rate:.0} times a second, by {asking} processes");
            self.stage.tally.expect(rate <= ASKED_IN_AN_OUTAGE * asking as f64, what);
        }
    }

    /// A token request that was made to hang does so until its client gives it up: the storm is not over before that.
    async fn wait_for_the_hung(&self) {
        let sent = self.ways_out.each_ref().map(|way_out| way_out.traffic().total);
        let ways = || self.ways_out.iter().zip(sent);
        let began = Instant::now();
        while ways().any(|(way_out, sent)| way_out.traffic().has_one_of_the_first(sent)) {
            if began.elapsed() > ATTEMPT {
                return self.stage.tally.violation(format_args!("a token request goes on for more than {ATTEMPT:?}"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// How long the slowest takes. First the processes, for what a lane has may come from elsewhere; see `Scout`.
    async fn recover(&self) -> Duration {
        let Stage { tally, lanes, scouts, .. } = &*self.stage;
        let began = Instant::now();
        let by = began + RECOVERY;
        let all = join_all(scouts.iter().map(|scout| async move { (scout, scout.gets_through(by).await) })).await;
        for (scout, got_through) in all {
            tally.expect(got_through, format_args!("{scout:?} does not get through in {RECOVERY:?}"));
        }
        let all = join_all(lanes.iter().map(|lane| async move { (lane, recovers(lane, by).await) })).await;
        for (lane, recovered) in all {
            tally.expect(recovered, format_args!("{lane:?} does not recover in {RECOVERY:?}: {}", lane.condition()));
        }
        began.elapsed()
    }

    /// Nothing goes wrong but what is revoked in the middle; no call may fail.
    async fn calm(&mut self, rng: &mut Rng) {
        self.stage.weather.set_calm(true);
        sleep(Duration::from_millis(rng.u64(500..1500))).await;
        self.storms.revoke_steady(&self.stage);
        sleep(Duration::from_millis(rng.u64(500..1500))).await;
        self.stage.weather.set_calm(false);
    }

    fn look_at_stranger(&self) {
        for request in self.stage.stranger.requests_to(Endpoint::Api) {
            let brought = request.headers.get("authorization");
            self.stage.tally.expect(brought.is_none(), "a stranger received a token");
        }
        self.stage.stranger.clear_requests();
    }

    async fn end(self, callers: Vec<JoinHandle<()>>, before: Footprint) -> bool {
        let Self { stage, storms, ways_out, crowded, folder, slowest_recovery, resident } = self;
        stage.over.store(true, Relaxed);
        stage.weather.blow();
        for caller in join_all(callers).await {
            stage.tally.expect(caller.is_ok(), "a caller panicked");
        }
        let tally = &stage.tally;
        check_traffic(tally, &ways_out);
        let counters = storms.steady.counters();
        let most = STEADY as u64 * (1 + storms.steady_revocations);
        let (issued, revocations) = (counters.tokens_issued, storms.steady_revocations);
        tally.expect(issued <= most, format_args!("{issued} tokens for {STEADY} keys and {revocations} revocations"));
        tally.figure(format_args!(
            "steady server: {issued} tokens issued to {STEADY} keys, with {revocations} revocations of all"
        ));
        let issued = storms.hasty.counters().tokens_issued;
        tally.figure(format_args!(
            "hasty server: {issued} tokens issued to {} clients",
            1 + CROWDED + FLEETS + PROCESSES
        ));
        let Counters { tokens_issued, refresh_reuse_detected, .. } = storms.personal.counters();
        tally.figure(format_args!("personal server: {tokens_issued} tokens issued, refresh tokens rotated each time"));
        tally.expect(refresh_reuse_detected == 0, "a refresh token was used twice");
        if storms.redis.is_none() {
            tally.figure("Redis: there is none, so fleets share a folder");
        }
        let [storm, outage] = slowest_recovery;
        tally.figure(format_args!("slowest recovery: {storm:.1?} after a storm, {outage:.1?} after an outage"));
        let PoolStatus { evicted, refused, .. } = crowded.status();
        tally.figure(format_args!("pool of {ROOM} for {CROWDED} keys: {evicted} evicted, {refused} refused"));
        let servers = [&storms.hasty, &storms.steady, &storms.personal];
        let issued = servers.map(|server| server.counters().tokens_issued).iter().sum();
        check_memory(tally, &resident, issued);

        // Everything but the tally goes, and all connections with it.
        let Stage { tally, .. } = Arc::into_inner(stage).expect("the callers have ended");
        drop((storms, ways_out, crowded, folder));
        check_tasks(&tally, before).await;
        println!("{tally}");
        tally.is_clean()
    }
}

fn check_traffic(tally: &Tally, ways_out: &[WayOut]) {
    for ((name, way_out), asking) in ["hasty", "steady", "personal"].into_iter().zip(ways_out).zip(ASKING) {
        let traffic = way_out.traffic();
        for (client, at_once, in_window) in traffic.clients() {
            let caches = caches_of(client);
            tally.expect(at_once <= caches, format_args!("{client} asked {at_once} times at once"));
            let most = ASKED_IN_A_WINDOW * caches;
            tally.expect(in_window <= most, format_args!("{client} asked {in_window} times in {WINDOW:?}"));
        }
        let (most, total) = (traffic.most_in_flight, traffic.total);
        tally.expect(most <= IN_FLIGHT * asking, format_args!("{name} server: {most} requests in flight"));
        tally.figure(format_args!("{name} server: {total} token requests, at most {most} in flight"));
    }
}

/// How many ask in a client's name without knowing of each other.
fn caches_of(client: &str) -> usize {
    match client {
        APP => PROCESSES * USERS,
        fleet if fleet.starts_with("fleet-") => PROCESSES,
        _ => 1,
    }
}

fn client(name: String) -> Client {
    Client::new(name).secret("secret").scopes(["api"])
}

fn app() -> Client {
    Client::new(APP).secret("secret").grant_types(["refresh_token"])
}

async fn start(clients: &[Client]) -> TestServer {
    let builder = TestServer::builder().keep_requests(0);
    let builder = clients.iter().cloned().fold(builder, |builder, client| builder.client(client));
    builder.start().await.expect("ports")
}

fn check_memory(tally: &Tally, resident: &[u64], issued: u64) {
    let (early, late) = resident.split_at(resident.len().div_ceil(3));
    let Some((early, late)) = early.iter().max().zip(late.iter().max()) else {
        return tally.figure("memory: not measured, there was no second round");
    };
    let mebibytes = |bytes: u64| bytes >> 20;
    tally.figure(format_args!("memory: {} MiB early, {} MiB late", mebibytes(*early), mebibytes(*late)));
    tally.expect(late.saturating_sub(*early) <= GROWTH + issued * REMEMBERED, "memory grows");
}

/// All connections close and all tasks end when nobody is left.
async fn check_tasks(tally: &Tally, before: Footprint) {
    let mut left = Footprint::now().tasks;
    for _ in 0..150 {
        if left <= before.tasks {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        left = Footprint::now().tasks;
    }
    tally.figure(format_args!("tasks: {} to begin with, {left} in the end", before.tasks));
    tally.expect(left <= before.tasks, format_args!("{left} tasks are left"));
}
