//! The graph of dependencies: its cycles, one for each knot of tasks that wait for each other, its dependents and waves; all in time
//! linear in tasks and dependencies. What a dependency is, and on which line it stands, is left to the readers.

/// Tasks that a message names before it leaves out the middle of a cycle.
const MOST_NAMED: usize = 12;

/// One cycle for each strongly connected component that has one: places in order of dependency, the first place once, the lowest first.
pub(super) fn cycles(dependencies: &[&[usize]]) -> Vec<Vec<usize>> {
    let component = components(dependencies);
    let mut found = Vec::new();
    let mut is_told = vec![false; dependencies.len()];
    // The step of a walk at which a task was met; walks of one component end in the same turn, so one table serves all.
    let mut met = vec![usize::MAX; dependencies.len()];
    for start in 0..dependencies.len() {
        let next = |task: usize| dependencies[task].iter().copied().find(|other| component[*other] == component[start]);
        if is_told[component[start]] || next(start).is_none() {
            continue;
        }
        is_told[component[start]] = true;
        let mut walk = Vec::new();
        let mut task = start;
        while met[task] == usize::MAX {
            met[task] = walk.len();
            walk.push(task);
            // Inside of a component every task has a way on; `start` has shown that it is a knot.
            let Some(on) = next(task) else { break };
            task = on;
        }
        let mut cycle = walk.split_off(met[task]);
        let lowest = (0..cycle.len()).min_by_key(|at| cycle[*at]).unwrap_or(0);
        cycle.rotate_left(lowest);
        found.push(cycle);
    }
    found
}

/// The component of each task, by Tarjan's algorithm ("Depth-first search and linear graph algorithms", 1972) without recursion.
fn components(dependencies: &[&[usize]]) -> Vec<usize> {
    const UNSEEN: usize = usize::MAX;
    let count = dependencies.len();
    let (mut order, mut low, mut component) = (vec![UNSEEN; count], vec![0; count], vec![UNSEEN; count]);
    let (mut seen, mut components) = (0, 0);
    let mut stack = Vec::new();
    // Tasks that are being looked at, each with the number of its dependencies that are done.
    let mut path: Vec<(usize, usize)> = Vec::new();
    for start in 0..count {
        if order[start] == UNSEEN {
            path.push((start, 0));
        }
        while let Some((task, done)) = path.last_mut() {
            let task = *task;
            if *done == 0 && order[task] == UNSEEN {
                (order[task], low[task]) = (seen, seen);
                seen += 1;
                stack.push(task);
            }
            if let Some(&dependency) = dependencies[task].get(*done) {
                *done += 1;
                if order[dependency] == UNSEEN {
                    path.push((dependency, 0));
                } else if component[dependency] == UNSEEN {
                    low[task] = low[task].min(order[dependency]);
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                low[*parent] = low[*parent].min(low[task]);
            }
            if low[task] == order[task] {
                while let Some(member) = stack.pop() {
                    component[member] = components;
                    if member == task {
                        break;
                    }
                }
                components += 1;
            }
        }
    }
    component
}

/// `a → b → a`: each task depends on the one after it.
pub(super) fn describe<'a>(cycle: &[usize], id: impl Fn(usize) -> &'a str) -> String {
    let mut names: Vec<&str> = cycle.iter().take(MOST_NAMED).map(|place| id(*place)).collect();
    if cycle.len() > MOST_NAMED {
        names.push("…");
    }
    names.push(id(cycle[0]));
    let size = if cycle.len() > MOST_NAMED { format!(" ({} tasks)", cycle.len()) } else { String::new() };
    format!("depends on itself: {}{size}", names.join(" → "))
}

/// For each task those that depend on it, ascending.
pub(super) fn dependents(dependencies: &[&[usize]]) -> Vec<Vec<usize>> {
    let mut dependents = vec![Vec::new(); dependencies.len()];
    for (task, dependencies) in dependencies.iter().enumerate() {
        for dependency in *dependencies {
            dependents[*dependency].push(task);
        }
    }
    dependents
}

/// The wave of each task of a graph without cycles: one more than the highest of its dependencies.
pub(super) fn waves(dependencies: &[&[usize]], dependents: &[Vec<usize>]) -> Vec<u32> {
    let mut waiting_for: Vec<usize> = dependencies.iter().map(|dependencies| dependencies.len()).collect();
    let mut waves = vec![0; dependencies.len()];
    let mut ready: Vec<usize> = (0..dependencies.len()).filter(|task| waiting_for[*task] == 0).collect();
    while let Some(task) = ready.pop() {
        for dependent in &dependents[task] {
            waves[*dependent] = waves[*dependent].max(waves[task] + 1);
            waiting_for[*dependent] -= 1;
            if waiting_for[*dependent] == 0 {
                ready.push(*dependent);
            }
        }
    }
    waves
}
