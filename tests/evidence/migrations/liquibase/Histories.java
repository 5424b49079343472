import java.io.File;
import java.sql.*;
import java.util.*;
import liquibase.*;
import liquibase.changelog.ChangeSet;
import liquibase.database.*;
import liquibase.database.jvm.JdbcConnection;
import liquibase.exception.*;
import liquibase.resource.DirectoryResourceAccessor;

/** Liquibase over folders of changelogs: "update FOLDER SCHEMA CHANGELOG [contexts=…] [labels=…] [name=value…]", one a line of standard input. */
public class Histories {
    public static void main(String[] words) throws Exception {
        Scanner input = new Scanner(System.in);
        while (input.hasNextLine()) {
            String[] line = input.nextLine().trim().split("\t");
            Map<String, String> values = new HashMap<>();
            for (int i = 4; i < line.length; i++) {
                String[] pair = line[i].split("=", 2);
                values.put(pair[0], pair.length > 1 ? pair[1] : "");
            }
            String said;
            try (Connection connection = DriverManager.getConnection(words[0], "postgres", words[1])) {
                connection.createStatement().execute("create schema if not exists " + line[2]);
                connection.createStatement().execute("set search_path = " + line[2]);
                Database database = DatabaseFactory.getInstance().findCorrectDatabaseImplementation(new JdbcConnection(connection));
                database.setDefaultSchemaName(line[2]);
                database.setLiquibaseSchemaName(line[2]);
                Contexts contexts = new Contexts(values.getOrDefault("contexts", ""));
                LabelExpression labels = new LabelExpression(values.getOrDefault("labels", ""));
                Liquibase liquibase = new Liquibase(line[3], new DirectoryResourceAccessor(new File(line[1])), database);
                values.forEach((name, value) -> { if (!name.equals("contexts") && !name.equals("labels")) liquibase.setChangeLogParameter(name, value); });
                said = does(line[0], liquibase, contexts, labels, values);
            } catch (LiquibaseException error) { said = "refused " + (error.getMessage() + "").trim().replaceAll("\\s+", " "); }
            System.out.println("> " + said);
            System.out.flush();
        }
    }

    static String does(String action, Liquibase liquibase, Contexts contexts, LabelExpression labels, Map<String, String> values) throws LiquibaseException {
        switch (action) {
            case "update": liquibase.update(contexts, labels); return "updated";
            case "validate": liquibase.validate(); return "valid";
            case "offline": // what `liquibase update-sql` writes for an offline database
                try {
                    Database nowhere = DatabaseFactory.getInstance().openDatabase("offline:postgresql?changeLogFile=" + values.get("csv"), null, null, null, liquibase.getResourceAccessor());
                    Liquibase other = new Liquibase(liquibase.getChangeLogFile(), liquibase.getResourceAccessor(), nowhere);
                    other.update(contexts, labels, new java.io.StringWriter());
                } catch (Exception error) { return "refused " + error.getMessage(); }
                return "written";
            case "tag": liquibase.tag(values.get("tag")); return "tagged";
            case "rollback": liquibase.rollback(values.get("tag"), contexts, labels); return "rolled back";
            case "status": return names("pending", liquibase.listUnrunChangeSets(contexts, labels));
            default:
                StringBuilder found = new StringBuilder("unexpected");
                try {
                    Scope.child(Scope.Attr.resourceAccessor, liquibase.getResourceAccessor(), () ->
                        liquibase.listUnexpectedChangeSets(contexts, labels).forEach(each -> found.append(" ").append(each.toString())));
                } catch (Exception error) { return "refused " + error.getMessage(); }
                return found.toString();
        }
    }

    static String names(String first, List<ChangeSet> sets) {
        StringBuilder found = new StringBuilder(first);
        for (ChangeSet each : sets) found.append(" ").append(each.toString(false));
        return found.toString();
    }
}
