// Starts `graphc lsp` and connects it: all that the server can do is shown by the client library.
const {workspace} = require("vscode");
const {LanguageClient} = require("vscode-languageclient/node");

let client;

exports.activate = async () => {
  const settings = workspace.getConfiguration("graphc");
  const [command, ...args] = settings.get("command");
  const documentSelector = [{language: "yaml"}, {language: "json"}];
  client = new LanguageClient("graphc", "graphc", {command, args}, {
    documentSelector,
    initializationOptions: {hints: settings.get("hints")},
    synchronize: {
      configurationSection: "graphc",
      fileEvents: workspace.createFileSystemWatcher("**/*.{yaml,yml,json}"),
    },
  });
  await client.start();
};

exports.deactivate = () => client?.stop();
