//! The same as people do it: with the client's own words, and on their own screens.

use cfb_chat::chat::message::ErrorCode;

use super::stage::boris;
use crate::support::folder::{Folder, USER_A, USER_B};
use crate::support::process::{Client, READY, Server};

/// A server, and Ira, who is an operator.
fn evening() -> (Server, Client) {
    let mut server = Server::without_limits();
    let mut ira = Client::join(server.port, "Ira");
    ira.says("/server WHO");
    ira.process.err.wait_for("only operators may do that");
    server.process.type_line("OP Ira");
    ira.process.err.wait_for("the console has made you an operator: /server HELP");
    (server, ira)
}

fn comes(server: &Server) -> Client {
    let client = Client::start(server.port, "Boris", Folder::of_user("Boris", USER_B), &[]);
    client.process.out.wait_for(READY);
    client
}

#[test]
fn an_operator_kicks_and_bans_and_whoever_is_put_out_is_told_and_stays_out() {
    let (server, mut ira) = evening();
    let mut kicked = comes(&server);
    ira.says("/server WHO");
    ira.process.err.wait_for("Boris  #lobby  from 127.0.0.1");
    ira.says("/server KICK Boris rude words");
    ira.process.err.wait_for("Boris is removed");
    let ended = kicked.process.wait();
    assert_eq!(ended.status, Some(7), "{}", ended.err);
    assert!(ended.err.contains("Ira removed you: rude words"), "{}", ended.err);
    // It is no ban.
    let mut banned = comes(&server);
    ira.says("/ban Boris 2d selling things");
    ira.process.err.wait_for("removed 1");
    let ended = banned.process.wait();
    assert_eq!(ended.status, Some(7), "{}", ended.err);
    let why = ended.err.lines().find(|line| line.contains("you are banned until ")).expect("told why").to_owned();
    assert!(why.contains(" UTC: selling things"), "{why}");
    let again = Client::start(server.port, "Boris", Folder::of_user("Boris", USER_B), &[]).process.wait();
    assert_eq!(again.status, Some(6), "{}", again.err);
    let until = why.split("you are banned ").nth(1).expect("until when");
    assert!(again.err.contains(until), "{}: {until}", again.err);
    ira.says("/server UNBAN Boris");
    ira.process.err.wait_for("Boris is no longer banned");
    comes(&server);
    server.process.err.wait_for_times("New connection. Username: Boris", 4);
    let log = server.log();
    for act in ["KICK Boris (rude words)", "BAN Boris 2d (selling things)", "UNBAN Boris"] {
        assert!(log.contains(&format!("[*] Ira: {act}\n")), "{act}: {log}");
    }
    assert_eq!(log.matches("New connection. Username: Boris").count(), 4, "nobody comes back who was removed: {log}");
}

#[test]
fn a_rooms_keeper_settles_what_is_to_be_in_it() {
    let server = Server::without_limits();
    let mut keeper = Client::start(server.port, "Keeper", Folder::of_user("Keeper", USER_A), &[]);
    keeper.process.out.wait_for(READY);
    let mut boris = boris().comes(server.port, "#lobby");
    keeper.says("/join #den");
    keeper.says("/server TOPIC #den");
    keeper.process.err.wait_for("#den has no topic");
    keeper.says("/topic canary-of-a-topic");
    keeper.process.err.wait_for("topic of #den: canary-of-a-topic (Keeper)");
    keeper.says("/lock");
    keeper.process.err.wait_for("Keeper has locked #den");
    assert_eq!(boris.joins_with("#den", "").map_err(|why| why.0), Err(ErrorCode::Refused));
    keeper.says("/invite Boris");
    keeper.process.err.wait_for("Boris is a guest of #den");
    assert_eq!(boris.notices(), ["Keeper invites you to #den: /join #den"]);
    boris.joins("#den");
    keeper.says("/rooms");
    keeper.process.err.wait_for("2  kept by Keeper  locked  canary-of-a-topic");
    keeper.says("/kick Boris rude words");
    keeper.process.err.wait_for("Boris is removed from #den");
    assert_eq!(boris.notices(), ["Keeper removed you from #den: rude words"]);
    assert_eq!(boris.joins_with("#den", "").map_err(|why| why.0), Err(ErrorCode::Refused), "he is no guest any more");
    keeper.says("/ban Boris");
    keeper.process.err.wait_for("only operators may do that");
    assert!(!server.log().contains("canary-of-a-topic"));
}
