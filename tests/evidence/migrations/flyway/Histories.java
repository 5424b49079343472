import java.nio.file.*;
import java.util.*;
import org.flywaydb.core.Flyway;
import org.flywaydb.core.api.*;

/** Flyway over folders of scripts: "migrate FOLDER SCHEMA [name=value…] [flyway.setting=value…]" or "validate …", one a line of standard input. */
public class Histories {
    public static void main(String[] words) throws Exception {
        Scanner input = new Scanner(System.in);
        while (input.hasNextLine()) {
            String[] line = input.nextLine().trim().split("\t");
            Map<String, String> values = new HashMap<>(), settings = new HashMap<>();
            for (int i = 3; i < line.length; i++) {
                String[] pair = line[i].split("=", 2);
                (pair[0].startsWith("flyway.") ? settings : values).put(pair[0], pair[1]);
            }
            Flyway flyway = Flyway.configure().dataSource(words[0], "postgres", words[1])
                .locations("filesystem:" + line[1]).schemas(line[2]).defaultSchema(line[2]).createSchemas(true).placeholders(values)
                .baselineOnMigrate(false).configuration(settings).load();
            String said;
            try {
                if (line[0].equals("migrate")) said = "migrated " + flyway.migrate().migrationsExecuted;
                else if (line[0].equals("baseline")) {
                    Flyway.configure().configuration(flyway.getConfiguration()).baselineVersion("2").load().baseline();
                    said = "baselined";
                } else if (line[0].equals("undo")) said = "undone " + flyway.undo().migrationsUndone;
                else if (line[0].equals("repair")) { flyway.repair(); said = "repaired"; }
                else {
                    StringBuilder pending = new StringBuilder();
                    for (MigrationInfo each : flyway.info().pending()) pending.append(" ").append(each.getScript());
                    said = (flyway.validateWithResult().validationSuccessful ? "valid" : "invalid") + pending;
                }
            } catch (FlywayException error) { said = "refused " + error.getMessage().trim().replace("\n", "\t"); }
            System.out.println("> " + said);
            System.out.flush();
        }
    }
}
