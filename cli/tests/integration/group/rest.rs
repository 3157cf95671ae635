//! The end of a group: everything applied, told, and in the lake.

use super::{cluster::Cluster, member::Member};

/// Lets the members finish, stops them, and has a next owner close what they left.
pub async fn come_to_rest(cluster: &Cluster, members: Vec<Member>) {
    cluster.applied_everything().await;
    let said: Vec<String> = members.into_iter().flat_map(Member::stop).collect();
    let (closed, applied) = (cluster.closed().await, cluster.applied().await);
    // The partitions of a member that was killed are nobody's until its session has ended, and a stop has a deadline. Who
    // comes next closes what they applied, even if it finds nothing to apply.
    if closed < applied {
        let about_it: Vec<_> =
            said.iter().filter(|line| line.contains("a stop ") || line.contains("deadline")).collect();
        println!("the lake holds {closed} of {applied} messages, a next owner closes the rest; said: {about_it:#?}");
        cluster.run(&["speed", "run", "--stream", cluster.stream(), "--until-caught-up"]);
    }
}
