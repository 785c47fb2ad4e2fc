//! Requests are refused unless the configuration names them.

use std::fs;

use super::*;

/// Requests whose configuration has one line for each file, and 1,000 flows.
fn requests(file: Option<&Path>, folder: Option<&Path>) -> anyhow::Result<Requests> {
    let read = |text: Option<&str>| {
        let lines = text.unwrap_or("/flag").lines();
        let files: Vec<PathBuf> = lines.map(PathBuf::from).collect();
        ensure!(files.iter().all(|file| file.is_absolute()), "line 1: no absolute path");
        let table = TableSize { flows_v4: 1000, flows_v6: 500, ..TableSize::default() };
        Ok(Allowed { table, files })
    };
    let configuration = Configuration { file: file.map(Path::to_owned), read: Box::new(read) };
    Requests::new(configuration, folder.map(Path::to_owned))
}

fn refusal(requests: &mut Requests, request: &Request) -> String {
    match requests.answer(request) {
        (Answer::Refused(why), None) => why,
        answer => panic!("{answer:?}"),
    }
}

fn file(path: &Path) -> Request {
    Request::File { path: path.to_owned() }
}

#[test]
fn a_file_is_opened_where_the_configuration_names_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let [list, mine, other] = ["flowxdp.toml", "mine", "other"].map(|name| folder.path().join(name));
    fs::write(&mine, "1")?;
    fs::write(&other, "2")?;
    fs::write(&list, mine.display().to_string())?;
    let mut requests = requests(Some(&list), None)?;
    assert!(matches!(requests.answer(&file(&mine)), (Answer::File, Some(_))));
    let why = refusal(&mut requests, &file(&other));
    assert!(why.contains("other is no file that the configuration names"), "{why}");
    // Another name of the same file is another path.
    let why = refusal(&mut requests, &file(&folder.path().join("./mine/../mine")));
    assert!(why.contains("is no file that"), "{why}");
    fs::write(&list, other.display().to_string())?;
    refusal(&mut requests, &file(&other));
    let (Answer::File, Some(memory)) = requests.answer(&Request::Configuration) else { panic!("no text") };
    let (mut text, mut memory) = (String::new(), File::from(memory));
    memory.read_to_string(&mut text)?;
    assert_eq!(text, other.display().to_string());
    assert!(memory.write_all(b"more").is_err(), "the text can be changed");
    assert!(matches!(requests.answer(&file(&other)), (Answer::File, Some(_))));
    refusal(&mut requests, &file(&mine));
    // One that cannot be read changes nothing.
    fs::write(&list, "relative")?;
    assert_eq!(refusal(&mut requests, &Request::Configuration), "line 1: no absolute path");
    assert!(matches!(requests.answer(&file(&other)), (Answer::File, Some(_))));
    Ok(())
}

#[test]
fn a_configuration_is_a_regular_file_of_a_bounded_size() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("flowxdp.toml");
    fs::write(&path, "/a")?;
    let mut requests = requests(Some(&path), None)?;
    let mut refused = |word: &str| {
        let why = refusal(&mut requests, &Request::Configuration);
        assert!(why.contains(word) && why.contains("flowxdp.toml") && !why.contains('\n'), "{why}");
    };
    File::create(&path)?.write_all(&vec![b'\n'; usize::try_from(LONGEST)? + 1])?;
    refused("more than 1048576 octets");
    fs::write(&path, b"\xff\xfe")?;
    refused("UTF-8");
    fs::remove_file(&path)?;
    refused("No such file");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR)?;
    refused("pipe");
    Ok(())
}

#[test]
fn a_table_is_one_of_an_agent() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let table = Table { generation: 2, last: 1, partitions: 1, ring: 4096 };
    let why = refusal(&mut requests(None, None)?, &Request::Table(table));
    assert!(why.contains("restart with --pin"), "{why}");
    let mut requests = requests(None, Some(folder.path()))?;
    for (wrong, word) in [
        (Table { partitions: 0, ..table }, "0 partitions"),
        (Table { partitions: u32::MAX, ..table }, "partitions"),
        (Table { ring: u32::MAX, ..table }, "a ring of"),
        (table, "no table of this version in"),
        (Table { last: u64::MAX, generation: 0, ..table }, "no table of this version in"),
    ] {
        let why = refusal(&mut requests, &Request::Table(wrong));
        assert!(why.contains(word) && !why.contains('\n'), "{why}");
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 0);
    Ok(())
}
