//! The `anteroom` command.

fn main() -> std::process::ExitCode {
    anteroom_origin::cli::main()
}
