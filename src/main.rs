use std::process::ExitCode;

fn main() -> ExitCode {
    solder::cli::main()
}
