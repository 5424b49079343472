package shop;

import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.core.userdetails.UserDetailsService;
import org.springframework.security.provisioning.InMemoryUserDetailsManager;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.security.web.csrf.CookieCsrfTokenRepository;
import org.springframework.security.web.csrf.CsrfToken;
import org.springframework.security.web.csrf.CsrfTokenRequestAttributeHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class Shop {
    public static void main(String[] words) {
        SpringApplication.run(Shop.class, "--server.port=" + words[0], "--server.address=127.0.0.1",
            "--spring.main.banner-mode=off", "--logging.level.root=warn", "--spring.main.lazy-initialization=true");
    }

    @Bean
    SecurityFilterChain chain(HttpSecurity http) throws Exception {
        return http
            .csrf(csrf -> csrf.csrfTokenRepository(CookieCsrfTokenRepository.withHttpOnlyFalse())
                .csrfTokenRequestHandler(new CsrfTokenRequestAttributeHandler()))
            .authorizeHttpRequests(rules -> rules
                .requestMatchers("/free").permitAll()
                .requestMatchers("/report", "/price").hasRole("ADMIN")
                .anyRequest().authenticated())
            .formLogin(form -> form.defaultSuccessUrl("/account", true))
            .build();
    }

    @Bean
    UserDetailsService users() {
        return new InMemoryUserDetailsManager(
            User.withUsername("ann").password("{noop}right-one").roles("USER").build(),
            User.withUsername("admin").password("{noop}right-one").roles("USER", "ADMIN").build());
    }

    @GetMapping("/account")
    Map<String, String> account(CsrfToken token) {
        return Map.of("csrf", token.getToken());  // a token is deferred until somebody asks for it
    }

    @GetMapping("/report")
    Map<String, String> report() {
        return Map.of();
    }

    @PostMapping({"/price", "/free"})
    Map<String, String> price() {
        return Map.of();
    }
}
